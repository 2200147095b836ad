//! How a plugin is met: by a word in its environment that says it was meant, and a line that says where it listens.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tempfile::NamedTempFile;
use tokio::net::UnixListener;

/// A variable and what it must say. No secret: it tells a person who starts the program by hand that they should not.
pub const COOKIE: (&str, &str) =
    ("NOMAD_PLUGIN_MAGIC_COOKIE", "e4327c2e01eabfd75a8a67adb114fb34a757d57eee7728d857a8cec6e91a7255");

/// Where a host may want the socket. Nomad names no place, and then it is the system's for what is temporary.
const FOLDER: &str = "PLUGIN_UNIX_SOCKET_DIR";

/// Of go-plugin, and of Nomad's use of it.
const VERSIONS: &str = "1|2";

/// The line on the standard output.
#[derive(Debug, PartialEq, Eq)]
pub struct Handshake {
    pub socket: PathBuf,
}

impl fmt::Display for Handshake {
    /// The last field would be a certificate, had the host shown one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSIONS}|unix|{}|grpc|", self.socket.display())
    }
}

impl FromStr for Handshake {
    type Err = io::Error;

    fn from_str(line: &str) -> io::Result<Self> {
        let place = line.trim_end().strip_prefix(VERSIONS).and_then(|rest| rest.strip_prefix("|unix|"));
        let socket = place.and_then(|rest| rest.split_once("|grpc")).map(|(socket, _)| socket.into());
        let socket =
            socket.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no line of a plugin's"))?;
        Ok(Self { socket })
    }
}

/// A socket that only this user may speak to, removed when dropped.
pub(crate) fn listen() -> io::Result<NamedTempFile<UnixListener>> {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let folder = std::env::var_os(FOLDER).map_or_else(std::env::temp_dir, PathBuf::from);
    let bind = |place: &Path| UnixListener::bind(place);
    tempfile::Builder::new().prefix("ionet-card-").make_in(folder, bind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_plugin_is_read_as_it_is_written() {
        let handshake = Handshake { socket: "/tmp/ionet-card-1".into() };

        assert_eq!(handshake.to_string(), "1|2|unix|/tmp/ionet-card-1|grpc|");
        assert_eq!(handshake.to_string().parse::<Handshake>().unwrap(), handshake);
        assert!("1|1|unix|/tmp/x|grpc|".parse::<Handshake>().is_err(), "of another version");
        assert!("a word".parse::<Handshake>().is_err());
    }
}
