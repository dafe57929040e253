//! What the test kit does when something is missing, seen from outside: a test binary run in another environment.

mod requirement;
