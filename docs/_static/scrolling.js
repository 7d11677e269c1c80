// A table or a listing that is wider than its frame can be scrolled with the keyboard, too.

"use strict";

const FRAMES = "article pre, article .table-wrapper";

function reach() {
  for (const frame of document.querySelectorAll(FRAMES)) {
    if (frame.scrollWidth > frame.clientWidth) {
      frame.tabIndex = 0;
    } else {
      frame.removeAttribute("tabindex");
    }
  }
}

window.addEventListener("load", reach);
window.addEventListener("resize", reach);
