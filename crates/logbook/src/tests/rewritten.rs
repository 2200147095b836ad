//! Foreign logs that are cut short, replaced, or rotated away.

use super::follow::*;
use super::*;

#[test]
fn a_log_that_is_cut_short_and_grows_again_is_read_anew() {
    let (shelf, _, job) = following(small());
    let log = job.join("t.stdout.0");
    add(&log, "first life, first line\nfirst life, second line\n");
    shelf.book.tick();
    // As logrotate's copytruncate: it is longer than before by the next look.
    fs::write(&log, "second life, first line\nsecond life, second line\nsecond life, third line\n").unwrap();
    shelf.book.tick();
    fs::write(&log, "third life\n").unwrap();

    shelf.book.tick();
    shelf.book.close();

    let text = shelf.text(&format!("jobs/{ALLOCATION}/t.stdout"));
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.ends_with("third line\nthird life\n"), "{text}");
}

#[test]
fn a_log_that_begins_as_before_but_was_written_anew_is_read_anew() {
    let (shelf, _, job) = following(small());
    let log = job.join("t.stdout.0");
    let banner = "a banner of every start\n".repeat(20);
    add(&log, format!("{banner}one\n"));
    shelf.book.tick();
    fs::write(&log, format!("{banner}two and more\n")).unwrap();

    shelf.book.tick();
    shelf.book.close();

    assert_eq!(
        shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")),
        format!("{banner}one\n{banner}two and more\n")
    );
}

#[test]
fn a_log_that_is_replaced_under_its_name_is_read_to_its_end_and_the_new_one_from_its_beginning() {
    let (shelf, _, job) = following(small());
    let log = job.join("t.stdout.0");
    add(&log, "old\n");
    shelf.book.tick();
    add(&log, "old end\n");
    fs::rename(&log, job.join("t.aside")).unwrap();
    add(&log, "new\n");

    shelf.book.tick();
    shelf.book.close();

    assert_eq!(shelf.text(&format!("jobs/{ALLOCATION}/t.stdout")), "old\nold end\nnew\n");
}

#[test]
fn files_that_were_rotated_away_unread_are_said() {
    let (shelf, _, job) = following(small());
    add(&job.join("t.stdout.0"), "zero\n");
    shelf.book.tick();
    fs::remove_file(job.join("t.stdout.0")).unwrap();
    add(&job.join("t.stdout.3"), "three\n");

    shelf.book.tick();
    shelf.book.close();

    let text = shelf.text(&format!("jobs/{ALLOCATION}/t.stdout"));
    assert!(text.starts_with("zero\n") && text.ends_with("three\n"), "{text}");
    assert!(text.contains("2 files that were gone before they were read"), "{text}");
}
