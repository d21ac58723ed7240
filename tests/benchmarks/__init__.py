"""Speed and memory against peers, run by hand; nothing here is asserted in CI."""
