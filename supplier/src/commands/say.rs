//! Prints for whoever reads. Readers go when they have seen enough (`… | head -1`), and that is no fault of ours.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

/// A line on standard output. Fails where what was asked for could not be handed over: on a full disk, say.
pub fn line(text: impl Display) -> io::Result<()> {
    write(&mut io::stdout().lock(), text)
}

/// A line on standard error. Where that cannot be written, nobody can be told.
pub fn complaint(text: impl Display) {
    let _ = write(&mut io::stderr().lock(), text);
}

/// What others chose (a PC's label, a job's name, a fault's words) is printed as text: a terminal must not obey it.
fn write(to: &mut impl Write, text: impl Display) -> io::Result<()> {
    let text = text.to_string();
    match writeln!(to, "{}", ionet_redact::printable(&text)).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_has_gone_is_no_fault_and_a_full_disk_is_one() {
        assert!(write(&mut Fails(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write(&mut Fails(ErrorKind::StorageFull), "x").is_err());
    }

    #[test]
    fn nothing_that_is_printed_is_an_order_to_the_terminal() {
        let mut written = Vec::new();

        write(&mut written, "desk\u{1b}]0;owned\u{7}\u{9b}2J\tgood").unwrap();

        let text = String::from_utf8(written).unwrap();
        assert!(text.chars().all(|sign| !sign.is_control() || matches!(sign, '\n' | '\t')), "{text:?}");
        assert!(text.ends_with("\tgood\n"));
    }

    #[test]
    fn a_line_ends_with_its_end() {
        let mut written = Vec::new();

        write(&mut written, "Waiting for a job").unwrap();

        assert_eq!(written, b"Waiting for a job\n");
    }
}
