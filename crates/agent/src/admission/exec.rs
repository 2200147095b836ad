//! A program that is run in a container beside the job's own: as the container's user, with the container's powers.

use serde::Serialize;

use super::Refusal;
use super::read::Fields;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Program {
    cmd: Vec<String>,
    tty: bool,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
}

/// How it is spoken with once it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Terminal {
    tty: bool,
}

impl Program {
    /// # Errors
    /// It asks for more than a command.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut asked = Fields::of(body)?;
        let program = Self {
            cmd: asked.texts("Cmd")?,
            tty: asked.flag("Tty")?,
            attach_stdin: asked.flag("AttachStdin")?,
            attach_stdout: asked.flag("AttachStdout")?,
            attach_stderr: asked.flag("AttachStderr")?,
        };
        size(&mut asked)?;
        asked.done()?;
        Ok(program)
    }
}

impl Terminal {
    /// # Errors
    /// It asks for more than a terminal.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let mut asked = Fields::of(body)?;
        let terminal = Self { tty: asked.flag("Tty")? };
        size(&mut asked)?;
        asked.done()?;
        Ok(terminal)
    }
}

/// Nobody needs it: whoever has a terminal sends its size as soon as the program runs.
fn size(asked: &mut Fields) -> Result<(), Refusal> {
    let numbers = asked.list("ConsoleSize")?;
    if numbers.iter().all(serde_json::Value::is_u64) { Ok(()) } else { Err(Refusal::of("ConsoleSize")) }
}
