//! The limits of connections: what is open, what is being shaken hands on, and what drips.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ionet_gateway_api::path;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::{NEXT_DOOR, only, stand};
use crate::stand::{PATIENCE, Stand};

async fn connect(stand: &Stand, from: Ipv4Addr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::from(from), 0)).unwrap();
    socket.connect(SocketAddr::new(IpAddr::from(Ipv4Addr::LOCALHOST), stand.port())).await.unwrap()
}

pub(crate) async fn shake(stand: &Stand, from: Ipv4Addr) -> std::io::Result<TlsStream<TcpStream>> {
    let connector = TlsConnector::from(Arc::new(stand.tls()));
    let name = ServerName::try_from("localhost").unwrap();
    connector.connect(name, connect(stand, from).await).await
}

/// Reads until the other side has closed, which it must.
async fn is_closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let reading = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(PATIENCE, reading).await.expect("the gateway should close the connection");
}

#[tokio::test]
async fn one_address_does_not_take_all_connections() {
    let stand = stand(|limits| limits.connections_per_address = 5).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(shake(&stand, NEXT_DOOR).await.unwrap());
    }

    assert!(shake(&stand, NEXT_DOOR).await.is_err());

    assert_eq!(stand.get(&stand.nobody(), path::HEALTH).await.status(), 200);
    open.clear();
    let again = async { while shake(&stand, NEXT_DOOR).await.is_err() {} };
    tokio::time::timeout(PATIENCE, again).await.expect("a place should become free");
}

#[tokio::test]
async fn handshakes_that_never_end_keep_nobody_else_out_and_are_ended() {
    let stand = stand(|limits| {
        limits.handshaking_per_address = 5;
        limits.handshake_s = 1;
    })
    .await;
    let mut hanging = Vec::new();
    for _ in 0..20 {
        hanging.push(connect(&stand, NEXT_DOOR).await);
    }

    assert_eq!(stand.get(&stand.nobody(), path::HEALTH).await.status(), 200);

    for stream in hanging {
        is_closed(stream).await;
    }
    assert!(shake(&stand, NEXT_DOOR).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_handshakes_is_cut_off_at_its_address() {
    let stand = stand(|limits| limits.handshakes = only(10)).await;
    let mut done = 0;

    while shake(&stand, NEXT_DOOR).await.is_ok() {
        done += 1;
        assert!(done <= 10);
    }

    assert_eq!(done, 10);
    assert_eq!(stand.get(&stand.nobody(), path::HEALTH).await.status(), 200);
}

#[tokio::test]
async fn a_client_that_never_finishes_its_first_line_is_left() {
    let stand = stand(|limits| limits.head_s = 1).await;
    let silent = shake(&stand, NEXT_DOOR).await.unwrap();
    let mut slow = shake(&stand, NEXT_DOOR).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.unwrap();
    let (reading, mut writing) = tokio::io::split(slow);
    let dripping = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() && writing.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });

    assert_eq!(stand.get(&stand.nobody(), path::HEALTH).await.status(), 200);

    is_closed(silent).await;
    is_closed(reading).await;
    dripping.await.unwrap();
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let stand = stand(|limits| limits.request_s = 1).await;
    let mut slow = shake(&stand, NEXT_DOOR).await.unwrap();
    let head = "POST /v1/renewals HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();

    assert_eq!(stand.get(&stand.nobody(), path::HEALTH).await.status(), 200);

    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, slow.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

#[tokio::test]
async fn a_connection_on_which_nothing_is_asked_any_more_is_closed_and_one_with_a_poll_is_not() {
    let stand = stand(|limits| limits.idle_s = 1).await;
    let pc = stand.enrol("alice").await;
    let index = stand.state(&pc).await.index;
    let polling = pc.http.get(format!("{}{}?index={index}&wait=3", stand.url, path::WATCH)).send();
    let polling = tokio::spawn(polling);
    let mut tls = stand.tls();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(tls));
    let name = ServerName::try_from("localhost").unwrap();
    let mut idle = connector.connect(name, connect(&stand, NEXT_DOOR).await).await.unwrap();
    idle.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();

    is_closed(idle).await;

    assert_eq!(polling.await.unwrap().unwrap().status(), 200);
}
