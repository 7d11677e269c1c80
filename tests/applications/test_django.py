"""Django: the project and the application of its tutorial, and what a larger one does."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.applications.support import Browser, digest
from tests.file_server.program import Program

FIRST_VIEW = """\
from django.http import HttpResponse


def index(request):
    return HttpResponse("Hello, world. You're at the polls index.")
"""

FIRST_URLS = """\
from django.urls import path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
]
"""

PROJECT_URLS = """\
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("polls/", include("polls.urls")),
    path("admin/", admin.site.urls),
]
"""

MORE_URLS = """
import hashlib
import time

from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.views.decorators.csrf import csrf_exempt


def name(request):
    if request.method == "POST":
        request.session["name"] = request.POST["name"]
        return redirect(request.build_absolute_uri())
    return HttpResponse(f"{request.session.get('name', 'nobody')} {get_token(request)}")


@csrf_exempt
def upload(request):
    found = hashlib.sha256()
    for piece in request.FILES["file"].chunks():
        found.update(piece)
    return JsonResponse({"note": request.POST["note"], "digest": found.hexdigest()})


def stream(request):
    return StreamingHttpResponse((f"{number}," for number in range(5)), content_type="text/csv")


def file(request):
    return FileResponse(open(__file__, "rb"))


urlpatterns += [
    path("name", name), path("upload", upload), path("stream", stream), path("file", file),
]
"""

MORE_SETTINGS = """
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
SECURE_SSL_REDIRECT = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
"""


def manage(folder: Path, *words: str) -> None:
    """Run a command of Django's."""
    subprocess.run([sys.executable, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the project of the tutorial, part 1."""
    folder = tmp_path_factory.mktemp("django")
    manage(folder, "-m", "django", "startproject", "mysite", ".")
    manage(folder, "manage.py", "startapp", "polls")
    (folder / "polls" / "views.py").write_text(FIRST_VIEW)
    (folder / "polls" / "urls.py").write_text(FIRST_URLS)
    (folder / "mysite" / "urls.py").write_text(PROJECT_URLS)
    return folder


@pytest.fixture
def larger(project: Path, tmp_path: Path) -> Path:
    """Make another of it."""
    folder = shutil.copytree(project, tmp_path / "larger")
    with (folder / "mysite" / "urls.py").open("a") as urls:
        urls.write(MORE_URLS)
    with (folder / "mysite" / "settings.py").open("a") as settings:
        settings.write(MORE_SETTINGS)
    return folder


def serving(folder: Path) -> Iterator[Browser]:
    """Serve by the command line, in the folder of ``manage.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        program = Program("127.0.0.1:0", "--wsgi", "mysite.wsgi")
    browser = Browser(program.url)
    try:
        yield browser
    finally:
        browser.close()
        _, _, said = program.end()
    assert "Traceback" not in said


@pytest.fixture
def browser(larger: Path) -> Iterator[Browser]:
    """Visit the larger project."""
    yield from serving(larger)


def test_the_tutorials_project_is_served_unchanged(project: Path) -> None:
    """Its first view, and the login of its administration."""
    for browser in serving(project):
        assert browser.get("/polls/").text == "Hello, world. You're at the polls index."
        moved = browser.get("/polls")
        assert (moved.status, moved.headers["Location"]) == (301, "/polls/")
        assert "Django administration" in browser.get("/admin/login/").text


def test_what_a_larger_project_does(browser: Browser) -> None:
    """Forms with Django's own protection, sessions, redirects to https, streams and files."""
    token = browser.get("/name").text.partition(" ")[2]
    assert browser.post_form("/name", "name=Zoe").status == 403
    sent = browser.post_form(
        "/name", f"name=Zoe&csrfmiddlewaretoken={token}", Referer=f"{browser.url}name"
    )
    assert (sent.status, sent.headers["Location"]) == (302, f"{browser.url}name")
    assert browser.get("/name").text.startswith("Zoe ")
    assert browser.get("/stream").text == "0,1,2,3,4,"
    file = browser.get("/file")
    assert "def stream(request)" in file.text
    assert file.headers["Content-Length"] == str(len(file.text))
    for chunked in False, True:
        answer = browser.post_file("/upload", chunked=chunked)
        assert (answer.status, digest() in answer.text) == (200, True)
