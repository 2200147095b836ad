//! What an address leads to, before anybody goes there.

use url::{Host, Url};

/// This PC itself.
pub(crate) fn is_loopback(url: &Url) -> bool {
    url.host().is_some_and(|host| is_loopback_host(&host.to_owned()))
}

pub(crate) fn is_loopback_host(host: &Host) -> bool {
    match host {
        Host::Ipv4(address) => address.is_loopback() || address.is_unspecified(),
        Host::Ipv6(address) => {
            let mapped = address.to_ipv4_mapped();
            address.is_loopback() || address.is_unspecified() || mapped.is_some_and(|v4| v4.is_loopback())
        }
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
    }
}

/// `host:port`, read strictly: one host, one port, nothing else.
pub(crate) fn host_and_port(text: &str) -> Option<(Host, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port =
        port.parse::<u16>().ok().filter(|port| *port != 0 && port.to_string() == text[host.len() + 1..])?;
    Some((Host::parse(host).ok().filter(|parsed| parsed.to_string() == host)?, port))
}

/// Whether `host` is the domain `of` or lies below it. An address is only ever itself.
pub(crate) fn is_within(host: &Host, of: &str) -> bool {
    let of = of.trim_start_matches('.').to_ascii_lowercase();
    match host {
        Host::Domain(name) => name == &of || name.strip_suffix(&of).is_some_and(|rest| rest.ends_with('.')),
        Host::Ipv4(_) | Host::Ipv6(_) => host.to_string() == of,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_holds_itself_and_what_lies_below_it() {
        let within = |host: &str| is_within(&Host::parse(host).unwrap(), "region.example.test");

        assert!(within("region.example.test") && within("a.b.region.example.test"));
        assert!(
            !within("aregion.example.test")
                && !within("region.example.test.evil.test")
                && !within("10.0.0.1")
        );
    }

    #[test]
    fn a_server_is_a_host_and_a_port_and_nothing_else() {
        for good in ["a.example.test:4647", "127.0.0.1:1", "[::1]:65535"] {
            assert!(host_and_port(good).is_some(), "{good}");
        }
        for bad in [
            "a", "a:", "a:0", "a:01", "a:+1", "a:65536", ":1", "a/b:1", "u@a:1", "a b:1", "::1:1", "A.test:1",
        ] {
            assert!(host_and_port(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn loopback_has_many_names() {
        for url in [
            "http://127.9.9.9/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://a.localhost/",
            "http://0.0.0.0/",
        ] {
            assert!(is_loopback(&url.parse().unwrap()), "{url}");
        }
        assert!(!is_loopback(&"http://127.0.0.1.example.test/".parse().unwrap()));
    }
}
