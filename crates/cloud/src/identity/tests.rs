use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateSigningRequestParams, CertifiedIssuer, IsCa};

use super::*;

const DAY_MS: i64 = 86_400_000;

fn pc(board: &str) -> Facts {
    Facts::of_parts([board.to_owned()], [], [])
}

/// What a gateway would give for this request.
fn certificate_for(csr_pem: &str, issued_at_ms: i64) -> Certificate {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let ca = CertifiedIssuer::self_signed(ca, key).unwrap();
    let request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
    Certificate {
        device: "d-0123".into(),
        chain_pem: request.signed_by(&ca).unwrap().pem() + &ca.pem(),
        ca_pem: ca.pem(),
        issued_at_ms,
        expires_at_ms: issued_at_ms + 6 * DAY_MS,
        region: "eu".into(),
        datacenter: "home".into(),
        node_pool: "gamers".into(),
        servers: vec!["127.0.0.1:4647".into()],
    }
}

fn enrolled_on(dir: &Path, facts: Facts) -> IdentityFolder {
    let folder = IdentityFolder::with_facts(dir, facts);
    let csr = folder.signing_request().unwrap();
    folder.store(&certificate_for(&csr, 0)).unwrap();
    folder
}

#[test]
fn the_key_is_made_once_and_is_its_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let folder = IdentityFolder::with_facts(dir.path().join("identity"), pc("board-1"));

    folder.signing_request().unwrap();
    let first = fs::read(folder.file("device-key.pem")).unwrap();
    folder.signing_request().unwrap();

    assert_eq!(fs::read(folder.file("device-key.pem")).unwrap(), first);
    let mode = fs::metadata(folder.file("device-key.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_identity_reads_back_with_two_thirds_of_its_life_to_renewal() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));

    let device = folder.load().unwrap();

    assert_eq!(device.id, "d-0123");
    assert_eq!((device.renew_at, device.expires_at), (UnixMs(4 * DAY_MS), UnixMs(6 * DAY_MS)));
    assert_eq!(folder.enrolled().unwrap().servers, ["127.0.0.1:4647"]);
    assert!(folder.enrolled().unwrap().chain.is_file());
}

#[test]
fn a_copied_disk_sets_the_identity_aside_and_makes_a_key_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let origin = enrolled_on(dir.path(), pc("board-1"));
    let key = fs::read(origin.file("device-key.pem")).unwrap();

    let copy = IdentityFolder::with_facts(dir.path(), pc("board-2"));

    assert_eq!(copy.load(), None);
    assert_eq!(copy.enrolled(), None);
    assert_ne!(fs::read(copy.file("device-key.pem")).unwrap(), key);
    assert_eq!(fs::read(dir.path().join("set-aside-1/device-key.pem")).unwrap(), key);
}

#[test]
fn a_disk_copied_before_enrolment_does_not_share_its_key_either() {
    let dir = tempfile::tempdir().unwrap();
    let origin = IdentityFolder::with_facts(dir.path(), pc("board-1"));
    origin.signing_request().unwrap();
    let key = fs::read(origin.file("device-key.pem")).unwrap();

    let copy = IdentityFolder::with_facts(dir.path(), pc("board-2"));
    copy.load();

    assert_ne!(fs::read(copy.file("device-key.pem")).unwrap(), key);
}

#[test]
fn a_new_mainboard_under_the_same_gpu_is_the_same_pc() {
    let dir = tempfile::tempdir().unwrap();
    let origin = IdentityFolder::with_facts(dir.path(), pc("board-1"));
    origin.know_gpus(["GPU-1".to_owned()]);
    let csr = origin.signing_request().unwrap();
    origin.store(&certificate_for(&csr, 0)).unwrap();

    let later = IdentityFolder::with_facts(dir.path(), pc("board-2"));
    later.know_gpus(["GPU-1".to_owned()]);

    assert!(later.load().is_some());
}

#[test]
fn a_certificate_for_another_key_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let folder = IdentityFolder::with_facts(dir.path().join("a"), pc("board-1"));
    let other = IdentityFolder::with_facts(dir.path().join("b"), pc("board-1"));
    folder.signing_request().unwrap();

    let stored = folder.store(&certificate_for(&other.signing_request().unwrap(), 0));

    assert!(matches!(stored, Err(IdentityFault::NotOurs)));
    assert_eq!(folder.load(), None);
}

#[test]
fn a_device_id_that_is_no_name_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let folder = IdentityFolder::with_facts(dir.path(), pc("board-1"));
    let mut given = certificate_for(&folder.signing_request().unwrap(), 0);
    given.device = "../d".into();

    let stored = folder.store(&given);

    assert!(matches!(stored, Err(IdentityFault::NotOurs)));
}

#[test]
fn a_damaged_record_reads_as_not_enrolled_and_keeps_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    let key = fs::read(folder.file("device-key.pem")).unwrap();
    fs::write(folder.file("device.json"), "{").unwrap();

    let device = folder.load();

    assert_eq!(device, None);
    assert_eq!(fs::read(folder.file("device-key.pem")).unwrap(), key);
}
