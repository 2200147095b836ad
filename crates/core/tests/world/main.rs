//! The core against a world that answers: tests by what they are about.

#![expect(clippy::unwrap_used, reason = "all of this is tests")]

mod any;
mod card;
mod cards;
mod certificate;
mod engine;
mod first_start;
mod giving_back;
mod holds;
mod left_over;
mod money;
mod properties;
mod quit;
mod registration;
mod session;
mod share;
mod stale;
mod wall;
mod world;
