"""What is measured: networks beside their peers, a sweep of convolutions, the roofline; each is a script."""
