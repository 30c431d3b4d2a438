"""One file per command: parse the arguments, call one function of roundtrip, write the receipt."""
