import unittest

import requests

from tlshttp.testing import Response, TLSServerMixIn


class WeatherTests(TLSServerMixIn, unittest.TestCase):
    tls_served = {"/cities/oslo": Response.json({"temperature": -3})}

    def test_temperature(self):
        answer = requests.get(
            f"{self.tls_server.url}/cities/oslo", verify=self.tls_server.ca_path, timeout=30
        )
        self.assertEqual(answer.json(), {"temperature": -3})
        self.assertEqual(len(self.tls_server.requests), 1)

    def test_another_server(self):
        other = self.serve_tls({"/": "other"})
        self.assertEqual(other.get("/").text, "other")
        self.assertEqual(other.ca_pem, self.tls_ca.ca_pem)
