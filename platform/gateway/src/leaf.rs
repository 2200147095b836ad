//! A device's own certificate, as a connection shows it.

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// What is read from a client certificate.
pub(crate) struct Leaf {
    pub(crate) serial: String,
    pub(crate) device: String,
    pub(crate) public_key: String,
}

impl Leaf {
    /// None: no certificate of a device of this region, or not valid now (the connection may be older than that).
    pub(crate) fn read(der: &[u8], region: &str) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        if !certificate.validity().is_valid() {
            return None;
        }
        let suffix = format!(".client.{region}.nomad");
        let names = certificate.subject_alternative_name().ok()??;
        let mut devices = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => name.strip_suffix(&suffix),
            GeneralName::OtherName(..)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::URI(_)
            | GeneralName::IPAddress(_)
            | GeneralName::RegisteredID(_)
            | GeneralName::Invalid(..) => None,
        });
        Some(Self {
            device: devices.next()?.to_owned(),
            serial: hex::encode(certificate.raw_serial()),
            public_key: hex::encode(certificate.public_key().raw),
        })
    }
}
