//! What the container engine may be asked for on a job's behalf: the rules of the gate (`platform/linux/gate.rs`).
//!
//! A container is not let through, it is built: its description is read once, into a specification that holds only what a
//! job may have, and the engine gets that specification and nothing of what was asked. A field is taken, is set here whatever
//! was asked, or must say nothing; a field that is not known must say nothing too, so a newer driver that asks for more finds
//! out at once, on a test machine. What each option of Nomad's docker driver comes to stands in `admission/options.rs`.
//!
//! A refusal names the field and never its value: a job can have the driver put a file of the owner's there, and the
//! refusal is the customer's to read.

use std::borrow::Cow;

mod card;
mod container;
mod exec;
mod folders;
pub(crate) mod image;
mod json;
mod limits;
mod network;
mod powers;
mod read;
mod route;

pub(crate) use container::{Container, Rules};
pub(crate) use exec::{Program, Terminal};
pub(crate) use limits::Most;
pub(crate) use route::{Route, way};

/// Why a request is not passed on. The customer reads it as the cause of their job's failure, and the owner's log has it: it
/// holds a rule or a field's name, and nothing that a job wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this PC does not allow {rule}")]
pub(crate) struct Refusal {
    pub(crate) rule: Cow<'static, str>,
    /// Something of this PC's does not answer: no job asked for too much.
    pub(crate) of_this_pc: bool,
}

impl Refusal {
    pub(crate) const fn of(rule: &'static str) -> Self {
        Self { rule: Cow::Borrowed(rule), of_this_pc: false }
    }

    pub(crate) const fn of_this_pc(rule: &'static str) -> Self {
        Self { rule: Cow::Borrowed(rule), of_this_pc: true }
    }

    /// Of a field that is not known here, whose name may be anything.
    fn unknown(name: &str) -> Self {
        let is_name = name.len() <= 32 && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_name {
            Self { rule: Cow::Owned(name.to_owned()), of_this_pc: false }
        } else {
            Self::of("a field that nobody knows")
        }
    }
}

/// Letters that mean nothing in a path, a query or an option: a name that is made of them is a name everywhere.
fn is_plain(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.len() <= 128
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.bytes().all(inner)
}

#[cfg(test)]
#[cfg(unix)]
mod options;
#[cfg(test)]
#[cfg(unix)]
mod tests;
