"""What this project is about: asking a weather service, with patience."""

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


class Weather:
    """A client of the weather service."""

    def __init__(self, url, *, ca_file=None, certificate=None):
        self._url = url
        self._session = requests.Session()
        retry = Retry(3, status_forcelist=[503], backoff_factor=0, allowed_methods=None)
        self._session.mount("https://", HTTPAdapter(max_retries=retry))
        # Not of the session: there, REQUESTS_CA_BUNDLE counts for more.
        self._verify = True if ca_file is None else str(ca_file)
        self._session.cert = certificate

    def temperature(self, city):
        answer = self._session.get(f"{self._url}/cities/{city}", verify=self._verify, timeout=30)
        answer.raise_for_status()
        return answer.json()["temperature"]

    def report(self, city, temperature):
        answer = self._session.post(
            f"{self._url}/cities/{city}",
            json={"temperature": temperature},
            verify=self._verify,
            timeout=30,
        )
        answer.raise_for_status()

    def close(self):
        self._session.close()
