//! Whatever stands between PC and gateway.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ionet_cloud::{Cloud, CloudFault, Endpoints, Options, SystemProxy};
use ionet_core::fault::{NamedBy, ProxyFault, ProxyTrouble};

use super::support::gateway::{Authority, Gateway, HOUR_MS};
use super::{enrol, introduction, support};

#[tokio::test]
async fn who_opens_secure_connections_is_named_before_and_after_enrolment() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::named("Antivirus Web Shield"));
    let opened = theirs.serve(ours.enrolment(HOUR_MS).merge(introduction())).await;
    let real = ours.serve(ours.enrolment(HOUR_MS)).await;
    let at = |gateway: &Gateway, ca: Option<String>| {
        let roots = Endpoints { region_roots_pem: vec![ours.pem()], ..support::endpoints(&gateway.url, ca) };
        support::cloud_of(home.path(), roots, Options::default())
    };
    let named = CloudFault::Inspected { issuer: "Antivirus Web Shield".into() };

    let before = enrol(&at(&opened, Some(ours.pem()))).await;
    let before_unpinned = enrol(&at(&opened, None)).await;
    enrol(&at(&real, Some(ours.pem()))).await.unwrap();
    let after = at(&opened, Some(ours.pem())).introduction().await;

    assert_eq!((before, before_unpinned), (Err(named.clone()), Err(named.clone())));
    assert_eq!(after, Err(named));
}

#[tokio::test]
async fn a_networks_own_page_is_not_taken_for_somebody_who_opens_connections() {
    let home = tempfile::tempdir().unwrap();
    let hotel = Authority::new();
    let params = rcgen::CertificateParams::new(["portal.example.test".to_owned()]).unwrap();
    let gateway = hotel.serve_with(introduction(), &hotel, params).await;
    let cloud = support::cloud(home.path(), "http://127.0.0.1:1", &gateway.url, Some(Authority::new().pem()));

    assert_eq!(enrol(&cloud).await, Err(CloudFault::Garbled));
}

/// A proxy of a few lines: whatever tunnel is wished for leads to the gateway, or the wish is answered so.
async fn proxy(gateway: &Gateway, answer: &'static str) -> (String, Arc<AtomicUsize>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let port = gateway.url.parse::<url::Url>().unwrap().port().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                assert!(head.starts_with(b"CONNECT gateway.example.test:443 "));
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
                if answer.starts_with("200") {
                    let mut there = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
                }
            });
        }
    });
    (host, count)
}

/// A PC whose gateway is somewhere outside, and whose environment names this proxy.
fn behind(home: &Path, gateway: &Gateway, proxy: &str) -> Cloud {
    let address = format!("http://me:hunter2@{proxy}");
    let proxy = SystemProxy::of_environment(|name| (name == "HTTPS_PROXY").then(|| address.clone()));
    outward(home, gateway, proxy)
}

/// The same where only the desktop's settings do, which may change.
fn behind_the_desktops(home: &Path, gateway: &Gateway, proxy: &Arc<Mutex<String>>) -> Cloud {
    let proxy = proxy.clone();
    let desktop = SystemProxy::none().or_of_desktop(move |url| {
        assert_eq!(url.as_str(), "https://gateway.example.test/");
        let told = format!("http://{}", proxy.lock().unwrap());
        Box::pin(std::future::ready(vec![told]))
    });
    outward(home, gateway, desktop)
}

fn outward(home: &Path, gateway: &Gateway, proxy: SystemProxy) -> Cloud {
    let endpoints = support::endpoints("https://gateway.example.test/", Some(gateway.ca_pem.clone()));
    support::cloud_of(home, endpoints, Options { proxy, ..Options::default() })
}

async fn outside() -> Gateway {
    let authority = Authority::new();
    let params = rcgen::CertificateParams::new(["gateway.example.test".to_owned()]).unwrap();
    let routes = authority.enrolment(HOUR_MS).merge(introduction());
    authority.serve_with(routes, &authority, params).await
}

#[tokio::test]
async fn a_proxy_that_is_the_only_way_out_is_used_with_this_pcs_certificate_through_it() {
    let home = tempfile::tempdir().unwrap();
    let gateway = outside().await;
    let (proxy, asked) = proxy(&gateway, "200 OK").await;
    let cloud = behind(home.path(), &gateway, &proxy);

    enrol(&cloud).await.unwrap();
    let token = cloud.introduction().await.unwrap();

    assert_eq!(token.reveal(), "intro");
    assert!(asked.load(Ordering::Relaxed) >= 2);
}

#[tokio::test]
async fn a_proxy_that_is_in_the_way_is_named_without_its_password() {
    let home = tempfile::tempdir().unwrap();
    let gateway = outside().await;
    let (knows_nobody, _) = proxy(&gateway, "407 Proxy Authentication Required").await;
    let (refuses, _) = proxy(&gateway, "403 Forbidden").await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();

    let fault = async |proxy: &str| enrol(&behind(home.path(), &gateway, proxy)).await.unwrap_err();
    let faults = [fault(&knows_nobody).await, fault(&refuses).await, fault(&closed).await];

    let expected = [
        (knows_nobody, ProxyTrouble::WantsPassword),
        (refuses, ProxyTrouble::Refuses { status: 403 }),
        (closed, ProxyTrouble::Unreachable),
    ];
    let expected = expected.map(|(host, why)| ProxyFault { host, named_by: NamedBy::Environment, why });
    assert_eq!(faults, expected.map(CloudFault::Proxy));
}

#[tokio::test]
async fn a_proxy_that_only_the_desktops_settings_name_is_used_and_blamed_as_theirs_until_they_change() {
    let home = tempfile::tempdir().unwrap();
    let gateway = outside().await;
    let (refuses, _) = proxy(&gateway, "403 Forbidden").await;
    let (works, asked) = proxy(&gateway, "200 OK").await;
    let settings = Arc::new(Mutex::new(refuses.clone()));
    let cloud = behind_the_desktops(home.path(), &gateway, &settings);

    let refused = enrol(&cloud).await;
    *settings.lock().unwrap() = works;
    let enrolled = enrol(&cloud).await;

    let why = ProxyTrouble::Refuses { status: 403 };
    let expected = ProxyFault { host: refuses, named_by: NamedBy::Settings, why };
    assert_eq!(refused, Err(CloudFault::Proxy(expected)));
    assert_eq!((enrolled.is_ok(), asked.load(Ordering::Relaxed)), (true, 1));
}

#[tokio::test]
async fn nobody_listening_is_told_from_no_network() {
    let home = tempfile::tempdir().unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ca = Some(Authority::new().pem());
    let at = |url: &str| support::cloud(home.path(), "http://127.0.0.1:1", url, ca.clone());

    let nobody = enrol(&at(&format!("https://{closed}/"))).await;
    let nowhere = enrol(&at("https://gateway.invalid/")).await;

    assert_eq!(nobody, Err(CloudFault::Unavailable(None)));
    assert_eq!(nowhere, Err(CloudFault::NoNetwork));
}

#[tokio::test]
async fn a_gateway_that_takes_a_connection_and_says_nothing_is_slow() {
    let home = tempfile::tempdir().unwrap();
    let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let options = Options { connect_timeout: Duration::from_millis(200), ..Options::default() };
    let ca = Some(Authority::new().pem());
    let cloud = support::cloud_with(home.path(), "http://127.0.0.1:1", &url, ca, options);

    let fault = enrol(&cloud).await;

    assert_eq!(fault, Err(CloudFault::Slow));
}
