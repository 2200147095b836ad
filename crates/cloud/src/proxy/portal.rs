//! Linux: the desktop portal, which knows the settings of the desktop that runs, and its automatic configuration.

use url::Url;
use zbus::Connection;

const NAME: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const INTERFACE: &str = "org.freedesktop.portal.ProxyResolver";

/// Nothing where there is no desktop.
pub(super) async fn lookup(url: Url) -> Vec<String> {
    let asked = async { lookup_on(&Connection::session().await?, &url).await };
    asked.await.unwrap_or_else(|error: zbus::Error| {
        tracing::debug!(%error, "no desktop knows of a proxy");
        Vec::new()
    })
}

async fn lookup_on(bus: &Connection, url: &Url) -> zbus::Result<Vec<String>> {
    let answer = bus.call_method(Some(NAME), PATH, Some(INTERFACE), "Lookup", &(url.as_str(),)).await?;
    answer.body().deserialize()
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;
    use zbus::{connection, interface};

    use super::*;

    struct Portal;

    #[interface(name = "org.freedesktop.portal.ProxyResolver")]
    impl Portal {
        fn lookup(&self, uri: &str) -> Vec<String> {
            let inside = uri == "https://inside.test/";
            vec![if inside { "direct://" } else { "http://proxy.test:3128" }.to_owned()]
        }
    }

    #[tokio::test]
    async fn the_desktops_portal_is_asked_as_it_wants_to_be() {
        let (theirs, ours) = UnixStream::pair().unwrap();
        let portal = connection::Builder::unix_stream(theirs).server(zbus::Guid::generate()).unwrap().p2p();
        let portal = portal.serve_at(PATH, Portal).unwrap().build();
        let (portal, app) = tokio::join!(portal, connection::Builder::unix_stream(ours).p2p().build());
        let (_portal, app) = (portal.unwrap(), app.unwrap());

        let told = async |url: &str| lookup_on(&app, &url.parse().unwrap()).await.unwrap();

        assert_eq!(told("https://gateway.test/").await, ["http://proxy.test:3128"]);
        assert_eq!(told("https://inside.test/").await, ["direct://"]);
    }
}
