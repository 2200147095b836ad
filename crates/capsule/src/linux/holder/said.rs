//! What is said by those whom the holder has started, and through them by anybody inside: it goes to the holder's log, so there is a
//! measure to it.

use std::io::Write as _;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::ChildStderr;
use tokio::time::{Instant, timeout};

/// Lines at once.
const LINES: u32 = 200;
/// Then one again each time.
const AGAIN: Duration = Duration::from_millis(200);
/// Bytes of a line.
const LONGEST: usize = 1024;
/// After that long without a word it is told how many lines were left out.
const QUIET: Duration = Duration::from_secs(1);

/// Until nobody is left to say anything. The holder's own way out, perhaps a file of the owner's, is lent to nobody in there.
pub(crate) async fn pass_on(mut said: ChildStderr) {
    let (mut share, mut some) = (Share::whole(Instant::now()), [0; 4096]);
    loop {
        let patience = if share.left_out == 0 { Duration::MAX } else { QUIET };
        let heard = timeout(patience, said.read(&mut some)).await;
        let told = match heard {
            Ok(Ok(read @ 1..)) => share.of(some.get(..read).unwrap_or_default(), Instant::now()),
            Ok(Ok(0) | Err(_)) => share.last(),
            Err(_) => share.owed(),
        };
        let _ = std::io::stderr().write_all(&told);
        if matches!(heard, Ok(Ok(0) | Err(_))) {
            return;
        }
    }
}

/// What one of them may say.
struct Share {
    lines: u32,
    /// Up to when it is counted.
    counted: Instant,
    left_out: u64,
    line: Line,
}

/// The one that is being said.
enum Line {
    None,
    Told { bytes: usize, cut: usize },
    LeftOut,
}

impl Share {
    fn whole(now: Instant) -> Self {
        Self { lines: LINES, counted: now, left_out: 0, line: Line::None }
    }

    /// What of it is told.
    fn of(&mut self, some: &[u8], now: Instant) -> Vec<u8> {
        let mut told = Vec::new();
        for part in some.split_inclusive(|byte| *byte == b'\n') {
            if matches!(self.line, Line::None) {
                self.begin(now, &mut told);
            }
            let text = part.strip_suffix(b"\n").unwrap_or(part);
            if let Line::Told { bytes, cut } = &mut self.line {
                let fits = text.len().min(LONGEST - *bytes);
                told.extend(&text[..fits]);
                (*bytes, *cut) = (*bytes + fits, *cut + text.len() - fits);
            }
            if text.len() < part.len() {
                self.end(&mut told);
            }
        }
        told
    }

    fn begin(&mut self, now: Instant, told: &mut Vec<u8>) {
        let again = now.duration_since(self.counted).as_nanos() / AGAIN.as_nanos();
        let again = u32::try_from(again).unwrap_or(LINES).min(LINES);
        self.lines = LINES.min(self.lines + again);
        // What is left of the time is not lost, nor is there more than all.
        self.counted = if self.lines == LINES { now } else { self.counted + AGAIN * again };
        if self.lines == 0 {
            self.left_out += 1;
            self.line = Line::LeftOut;
            return;
        }
        told.extend(self.owed());
        self.lines -= 1;
        self.line = Line::Told { bytes: 0, cut: 0 };
    }

    fn end(&mut self, told: &mut Vec<u8>) {
        match std::mem::replace(&mut self.line, Line::None) {
            Line::Told { cut: 0, .. } => told.push(b'\n'),
            Line::Told { cut, .. } => told.extend(format!("… ({cut} bytes more)\n").bytes()),
            Line::None | Line::LeftOut => {}
        }
    }

    /// How many lines were left out, once that can be said.
    fn owed(&mut self) -> Vec<u8> {
        match (std::mem::take(&mut self.left_out), &self.line) {
            (0, _) => Vec::new(),
            (left_out, Line::Told { .. }) => {
                self.left_out = left_out;
                Vec::new()
            }
            (left_out, Line::None | Line::LeftOut) => format!("(lines left out: {left_out})\n").into(),
        }
    }

    fn last(&mut self) -> Vec<u8> {
        let mut told = Vec::new();
        self.end(&mut told);
        told.extend(self.owed());
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(told: Vec<u8>) -> String {
        String::from_utf8(told).unwrap()
    }

    #[test]
    fn of_lines_without_end_there_are_few_and_how_many_were_left_out_is_said() {
        let begin = Instant::now();
        let mut share = Share::whole(begin);

        let told = text(share.of(&b"a word\n".repeat(10_000), begin));
        assert_eq!(told, "a word\n".repeat(200));
        assert_eq!(text(share.owed()), "(lines left out: 9800)\n");
        assert_eq!(text(share.owed()), "", "once");

        let told = text(share.of(&b"one\ntwo\nthree\nfour\n".repeat(2), begin + AGAIN * 3 + AGAIN / 2));
        assert_eq!(told, "one\ntwo\nthree\n");
        let told = text(share.of(b"five\nsix\n", begin + AGAIN * 4));
        assert_eq!(told, "(lines left out: 5)\nfive\n", "the half before counts");
        assert_eq!(text(share.last()), "(lines left out: 1)\n");

        let later = begin + Duration::from_secs(86_400);
        assert_eq!(
            text(share.of(&b"x\n".repeat(300), later)).lines().count(),
            200,
            "and no more than at once"
        );
    }

    #[test]
    fn a_line_is_cut_where_it_is_too_long_and_comes_whole_in_however_many_parts_it_is_said() {
        let now = Instant::now();
        let mut share = Share::whole(now);

        assert_eq!(text(share.of(b"half a ", now)) + &text(share.of(b"line\nand", now)), "half a line\nand");
        assert_eq!(text(share.of(b" one more\n", now)), " one more\n");
        let long = [b"y".repeat(3000), b"\nz".to_vec()].concat();
        let told = long.chunks(700).map(|part| text(share.of(part, now))).collect::<String>();
        assert_eq!(told, format!("{}… (1976 bytes more)\nz", "y".repeat(1024)));
        assert_eq!(text(share.last()), "\n");
    }
}
