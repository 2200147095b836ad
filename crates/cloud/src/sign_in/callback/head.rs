//! A request's head: its first line and the name it was sent to are kept, the rest is read past. Cookies are shared over ports: a
//! browser brings along those of everything that ever served on this address.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// More than any browser sends.
const MOST: usize = 1024 * 1024;
/// Of one line; codes are long with some providers.
const MOST_KEPT: usize = 64 * 1024;

pub(super) enum Head {
    Read {
        line: String,
        /// None where it is there twice, or not at all.
        host: Option<String>,
    },
    TooLarge,
    /// The other side went away before its end.
    Gone,
}

pub(super) async fn read_head(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Head> {
    let mut left = MOST;
    let (mut first, mut hosts) = (None, Vec::new());
    loop {
        let line = match read_line(reader, &mut left).await? {
            Line::Read(line) => line,
            Line::TooLong => return Ok(Head::TooLarge),
            Line::Gone => return Ok(Head::Gone),
        };
        match &first {
            None if line.is_empty() => {}
            None if line.len() >= MOST_KEPT => return Ok(Head::TooLarge),
            None => first = Some(line),
            Some(first) if line.is_empty() => {
                let host = hosts.pop().filter(|_| hosts.is_empty());
                return Ok(Head::Read { line: first.clone(), host });
            }
            Some(_) => hosts.extend(host(&line)),
        }
    }
}

enum Line {
    Read(String),
    TooLong,
    Gone,
}

fn host(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("host").then(|| value.trim().to_owned())
}

/// One line without its end, and of a long one its beginning. `left` is what may still come.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), left: &mut usize) -> io::Result<Line> {
    let mut line = Vec::new();
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(Line::Gone);
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(chunk.len(), |at| at + 1);
        let room = MOST_KEPT.saturating_sub(line.len()).min(used);
        line.extend_from_slice(&chunk[..room]);
        reader.consume(used);
        if used > *left {
            return Ok(Line::TooLong);
        }
        *left -= used;
        if end.is_some() {
            let text = String::from_utf8_lossy(&line);
            return Ok(Line::Read(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
    }
}
