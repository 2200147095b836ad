//! The migrations are compiled in; cargo has to be told that they count as source.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
