//! Who has asked for how much. Every caller is held to its own quota: a device, an account, an enrolment token; and
//! whoever is none of them, or cannot show it, to that of its address.
//!
//! A stranger's flood is therefore never paid for by a known caller behind the same address.

use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::Shared;
use crate::config::{self, Quota};
use crate::limits::bucket::Buckets;
use crate::problem::Refusal;

pub(crate) mod bucket;

/// Callers of one kind that are remembered at one time; about ten megabytes when all of them call.
const MOST_CALLERS: usize = 100_000;

/// Where a caller is: an IPv4 address, or the /64 that a household has in IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Address(IpAddr);

impl Address {
    /// Where a request comes from. The listener says so of every one.
    pub(crate) fn of(parts: &Parts) -> Self {
        parts.extensions.get().copied().unwrap_or(Self(std::net::Ipv4Addr::UNSPECIFIED.into()))
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => Self(std::net::Ipv6Addr::from(u128::from(address) >> 64 << 64).into()),
        }
    }
}

/// One quota and its use.
pub(crate) struct Meter<K>(Mutex<Buckets<K>>);

impl<K: Eq + Hash> Meter<K> {
    fn new(quota: Quota) -> Self {
        Self(Mutex::new(Buckets::new(quota, MOST_CALLERS)))
    }

    /// One more by this caller.
    pub(crate) fn take(&self, caller: impl Into<K>) -> Result<(), Refusal> {
        self.take_many(caller, 1)
    }

    /// So many at once by this caller, or none of them.
    pub(crate) fn take_many(&self, caller: impl Into<K>, count: u64) -> Result<(), Refusal> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.take(caller.into(), count, Instant::now()).map_err(Refusal::TooMany)
    }
}

impl Meter<String> {
    /// So many of this one for as long as the other one has enough too, or nothing of either.
    pub(crate) fn take_with(
        &self,
        caller: &str,
        count: u64,
        other: &Self,
        others: u64,
    ) -> Result<(), Refusal> {
        self.take_many(caller, count)?;
        other.take_many(caller, others).inspect_err(|_| {
            let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            buckets.give_back(&caller.to_owned(), count);
        })
    }
}

/// The meters, named as in the configuration.
pub(crate) struct Limits {
    strangers: Meter<Address>,
    pub(crate) device_requests: Meter<String>,
    pub(crate) polls: Meter<String>,
    pub(crate) account_requests: Meter<String>,
    pub(crate) new_devices: Meter<String>,
    pub(crate) enrolment_tokens: Meter<String>,
    pub(crate) renewals: Meter<String>,
    pub(crate) region_calls: Meter<String>,
    pub(crate) wanted: Meter<String>,
    pub(crate) upload_objects: Meter<String>,
    pub(crate) upload_bytes: Meter<String>,
    pub(crate) history: Meter<String>,
}

impl Limits {
    /// `lifetime`: how long a device's certificate lives.
    pub(crate) fn new(config: &config::Limits, lifetime: Duration) -> Self {
        let renewals =
            Quota { per_s: config.renewals.per_s.min(lifetime.as_secs()).max(1), ..config.renewals };
        Self {
            strangers: Meter::new(config.strangers),
            device_requests: Meter::new(config.device_requests),
            polls: Meter::new(config.polls),
            account_requests: Meter::new(config.account_requests),
            new_devices: Meter::new(config.new_devices),
            enrolment_tokens: Meter::new(config.enrolment_tokens),
            renewals: Meter::new(renewals),
            region_calls: Meter::new(config.region_calls),
            wanted: Meter::new(config.wanted),
            upload_objects: Meter::new(config.upload_objects),
            upload_bytes: Meter::new(config.upload_bytes),
            history: Meter::new(config.history),
        }
    }

    /// What a caller is told who could not show who it is: the refusal, as long as its address has not had too many.
    pub(crate) fn refuse_stranger(&self, from: Address, refusal: Refusal) -> Refusal {
        if !refusal.is_of_a_stranger() {
            return refusal;
        }
        self.strangers.take(from).err().unwrap_or(refusal)
    }
}

/// The caller need not be anybody.
#[derive(Debug)]
pub(crate) struct Stranger;

impl FromRequestParts<Shared> for Stranger {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, gateway: &Shared) -> Result<Self, Refusal> {
        gateway.limits.strangers.take(Address::of(parts)).map(|()| Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_household_is_one_address_in_either_protocol() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }

    #[test]
    fn short_lived_certificates_may_be_renewed_as_often_as_they_need() {
        let limits = Limits::new(&config::Limits::default(), Duration::from_secs(60));
        let mut buckets = limits.renewals.0.lock().unwrap();
        let start = Instant::now();

        let renewed = (0..600).filter(|second| {
            second % 30 == 0 && buckets.take("d".to_owned(), 1, start + Duration::from_secs(*second)).is_ok()
        });

        assert_eq!(renewed.count(), 20);
    }
}
