# fetch.py
import ssl
import urllib.request

context = ssl.create_default_context(cafile="localhost.pem")
with urllib.request.urlopen("https://localhost:8443/", context=context) as response:
    print(response.read())
