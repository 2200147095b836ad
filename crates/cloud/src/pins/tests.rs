use ionet_gateway_api::AccountState;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyPair, NameConstraints,
};

use super::*;
use crate::clock::now_ms;

type Root = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn root(name: &str) -> Root {
    CertifiedIssuer::self_signed(params(name), KeyPair::generate().unwrap()).unwrap()
}

/// What `old` says of `new`: its name and its key, changed by `change`.
fn word_of(old: &Root, new: &Root, name: &str, change: impl FnOnce(&mut CertificateParams)) -> String {
    let mut params = params(name);
    change(&mut params);
    params.signed_by(new.key(), old).unwrap().pem()
}

fn pins(roots: &[&Root]) -> Pins {
    let roots: Vec<_> = roots.iter().map(|root| root.pem()).collect();
    Pins::new(&roots, vec!["region.example.test".into(), "192.0.2.7".into()], false).unwrap()
}

fn answer(ca_pem: String, servers: &[&str]) -> Certificate {
    Certificate {
        device: "d".into(),
        chain_pem: String::new(),
        ca_pem,
        issued_at_ms: 0,
        expires_at_ms: 0,
        region: "eu".into(),
        datacenter: "home".into(),
        node_pool: "gamers".into(),
        servers: servers.iter().map(|server| (*server).to_owned()).collect(),
        account: AccountState { subject: "alice".into(), shown: "alice".into() },
    }
}

fn admit(pins: &Pins, ca_pem: String, words: &str) -> Result<Admitted, NotPinned> {
    pins.admit(&answer(ca_pem, &["a.region.example.test:4647"]), words, now_ms())
}

#[test]
fn the_pinned_root_comes_back_and_another_is_refused_by_name() {
    let (ours, evil) = (root("Ours"), root("Evil"));
    let pins = pins(&[&ours]);

    let same = admit(&pins, ours.pem(), "");
    let refused =
        [evil.pem(), ours.pem() + &evil.pem(), evil.pem() + &ours.pem()].map(|pem| admit(&pins, pem, ""));

    assert!(pins.still_admit(&same.unwrap().roots_pem, ""));
    assert_eq!(refused, [(); 3].map(|()| Err(NotPinned("root Evil".into()))));
    assert!(!pins.still_admit(&evil.pem(), ""));
}

#[test]
fn a_root_of_the_same_name_with_another_key_is_another_root() {
    let (ours, evil) = (root("Ours"), root("Ours"));

    let refused = admit(&pins(&[&ours]), evil.pem(), "");

    assert_eq!(refused, Err(NotPinned("root Ours".into())));
}

#[test]
fn a_new_root_comes_in_by_the_old_ones_word_and_stays_by_it() {
    let (old, new, newer) = (root("Old"), root("New"), root("Newer"));
    let pins = pins(&[&old]);

    let first = admit(&pins, new.pem() + &word_of(&old, &new, "New", |_| {}), "").unwrap();
    let alone = admit(&pins, new.pem(), &first.words_pem).unwrap();
    let second =
        admit(&pins, word_of(&new, &newer, "Newer", |_| {}) + &newer.pem(), &first.words_pem).unwrap();

    assert_eq!(alone.roots_pem, first.roots_pem);
    assert_eq!(alone.words_pem, first.words_pem);
    assert!(pins.still_admit(&second.roots_pem, &second.words_pem));
    assert!(!pins.still_admit(&second.roots_pem, ""), "without the words nothing vouches for it");
    assert!(admit(&pins, newer.pem(), "").is_err());
}

#[test]
fn a_word_of_an_old_root_that_is_no_longer_shipped_counts_no_more() {
    let (old, new, next) = (root("Old"), root("New"), root("Next"));
    let admitted = admit(&pins(&[&old]), new.pem() + &word_of(&old, &new, "New", |_| {}), "").unwrap();

    assert!(!pins(&[&next]).still_admit(&admitted.roots_pem, &admitted.words_pem));
    assert!(admit(&pins(&[&next]), new.pem(), &admitted.words_pem).is_err());
}

#[test]
fn whoever_holds_a_constrained_authority_cannot_become_the_root() {
    let (ours, devices) = (root("Ours"), root("Devices"));
    let pins = pins(&[&ours]);
    let constraints: [fn(&mut CertificateParams); 4] = [
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)),
        |params| params.is_ca = IsCa::NoCa,
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
        |params| {
            let permitted_subtrees = vec![GeneralSubtree::DnsName("client.eu.nomad".into())];
            params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
        },
    ];

    for constraint in constraints {
        let word = word_of(&ours, &devices, "Devices", constraint);
        assert!(admit(&pins, devices.pem() + &word, "").is_err());
        assert!(admit(&pins, devices.pem(), &word).is_err());
    }
}

#[test]
fn a_word_for_another_key_or_that_has_run_out_is_none() {
    let (old, new, other) = (root("Old"), root("New"), root("New"));
    let pins = pins(&[&old]);
    let over = |params: &mut CertificateParams| {
        params.not_after = (std::time::SystemTime::now() - std::time::Duration::from_secs(60)).into();
    };

    assert!(admit(&pins, new.pem() + &word_of(&old, &other, "New", |_| {}), "").is_err());
    assert!(admit(&pins, new.pem() + &word_of(&old, &new, "Another", |_| {}), "").is_err());
    assert!(admit(&pins, new.pem() + &word_of(&old, &new, "New", over), "").is_err());
}

#[test]
fn no_root_and_no_certificate_are_refused() {
    let ours = root("Ours");
    let pins = pins(&[&ours]);

    for pem in [
        String::new(),
        "garbage".into(),
        ours.pem().replace("CERTIFICATE", "PRIVATE KEY"),
        ours.pem().repeat(17),
    ] {
        assert_eq!(admit(&pins, pem, ""), Err(NotPinned("no root".into())));
    }
}

#[test]
fn servers_are_the_regions_and_written_as_host_and_port() {
    let ours = root("Ours");
    let pins = pins(&[&ours]);
    let admits = |servers: &[&str]| pins.admit(&answer(ours.pem(), servers), "", now_ms()).map(|_| ());

    assert_eq!(admits(&["region.example.test:4647", "b.region.example.test:1", "192.0.2.7:4647"]), Ok(()));
    for stranger in [
        "evil.example.test:4647",
        "evilregion.example.test:4647",
        "region.example.test",
        "https://region.example.test:4647",
        "192.0.2.70:4647",
        "127.0.0.1:4647",
        "localhost:4647",
        "a.region.example.test:4647\"]\n",
    ] {
        let refused = admits(&["region.example.test:4647", stranger]).unwrap_err();
        assert!(refused.0.starts_with("server ") && !refused.0.contains('\n'), "{refused}");
    }
    assert_eq!(admits(&[]), Err(NotPinned("no server".into())));
}

#[test]
fn a_rehearsals_servers_may_be_on_this_pc() {
    let ours = root("Ours");
    let pins = Pins::new(&[ours.pem()], vec![], true).unwrap();

    assert!(pins.admit(&answer(ours.pem(), &["127.0.0.1:4647"]), "", now_ms()).is_ok());
    assert!(pins.admit(&answer(ours.pem(), &["192.0.2.7:4647"]), "", now_ms()).is_err());
}
