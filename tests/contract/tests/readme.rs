//! The README's table against the list of expectations.

use contract::for_each_expectation;

macro_rules! names {
    ($($module:ident::$name:ident,)*) => { &[$(stringify!($name)),*] };
}

#[test]
fn the_readme_lists_every_expectation_and_no_other() {
    let names: &[&str] = for_each_expectation!(names);
    let readme = include_str!("../README.md");

    let listed: Vec<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name)
        .collect();

    assert_eq!(listed, names);
}
