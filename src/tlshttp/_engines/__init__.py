"""What every engine's server context does, in code that knows no engine.

Names, client authentication, reload, revocation, tickets, refusal. The engines themselves, which
are the little that differs, are `tlshttp.context` (the standard library's `ssl`) and
`tlshttp.pyopenssl`.
"""
