"""Certificates: make, load, inspect, write."""
