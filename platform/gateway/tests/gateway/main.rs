//! The gateway on a real listener, against an issuer and a region that the tests play.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests; clippy knows that of their functions, not of the stand's"
)]

mod accounts;
mod connections;
mod devices;
mod doubts;
mod earnings;
mod http;
mod limits;
mod metering;
mod money;
mod nodes;
mod owners;
mod polls;
mod prices;
mod servers;
mod sessions;
mod shapes;
mod stand;
mod uploads;
mod wanted;
