//! Linux: the Secret Service, over D-Bus. It is looked at without unlocking it: a program that starts with the session must not
//! ask for a password.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use zbus::message::Type;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};
use zbus::{Connection, MatchRule, MessageStream};

use super::Lock;

const NAME: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";

pub(super) async fn lock(service: &'static str, issuer: String) -> Lock {
    let asked = async { lock_of(&Connection::session().await?, service, &issuer).await };
    asked.await.unwrap_or_else(|error: zbus::Error| {
        tracing::debug!(%error, "no keyring");
        Lock::Absent
    })
}

/// Every signal of the service, one of which is that of the unlocking.
pub(super) async fn changes() -> BoxStream<'static, ()> {
    let listening = async { changes_of(&Connection::session().await?).await };
    listening.await.unwrap_or_else(|error: zbus::Error| {
        tracing::debug!(%error, "the keyring cannot be listened to");
        Box::pin(stream::pending())
    })
}

async fn lock_of(bus: &Connection, service: &str, issuer: &str) -> zbus::Result<Lock> {
    let wanted = HashMap::from([("service", service), ("username", issuer)]);
    let found = bus.call_method(Some(NAME), PATH, Some(INTERFACE), "SearchItems", &(wanted,)).await?;
    let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize()?;
    if !open.is_empty() {
        return Ok(Lock::Open);
    }
    if !locked.is_empty() {
        return Ok(Lock::Locked { entry: true });
    }
    let alias = bus.call_method(Some(NAME), PATH, Some(INTERFACE), "ReadAlias", &("default",)).await?;
    let collection: OwnedObjectPath = alias.body().deserialize()?;
    if collection.as_str() == "/" {
        return Ok(Lock::Bare);
    }
    let asked = (COLLECTION, "Locked");
    let properties = Some("org.freedesktop.DBus.Properties");
    let answer = bus.call_method(Some(NAME), &collection, properties, "Get", &asked).await?;
    let value: OwnedValue = answer.body().deserialize()?;
    Ok(if bool::try_from(value)? { Lock::Locked { entry: false } } else { Lock::Open })
}

async fn changes_of(bus: &Connection) -> zbus::Result<BoxStream<'static, ()>> {
    let rule = MatchRule::builder().msg_type(Type::Signal).path_namespace(PATH)?.build();
    let signals = MessageStream::for_match_rule(rule, bus, None).await?;
    Ok(Box::pin(signals.map(|_| ())))
}

#[cfg(test)]
#[path = "secret_service/tests.rs"]
mod tests;
