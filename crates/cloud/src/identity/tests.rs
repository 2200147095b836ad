use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

use ionet_core::UnixMs;
use ionet_gateway_api::AccountState;
use rcgen::{BasicConstraints, CertificateSigningRequestParams, CertifiedIssuer, IsCa};

use super::*;
use crate::clock::now_ms;

const DAY_MS: i64 = 86_400_000;

/// The region's root.
static ROOT: LazyLock<CertifiedIssuer<'static, KeyPair>> = LazyLock::new(root);

fn root() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    CertifiedIssuer::self_signed(params, key).unwrap()
}

fn pins() -> Pins {
    Pins::new(&[ROOT.pem()], vec![], true).unwrap()
}

fn pc(board: &str) -> Facts {
    Facts::of_parts([board.to_owned()], [], [])
}

/// What a gateway would give for this request.
fn certificate_for(csr_pem: &str, issued_at_ms: i64) -> Certificate {
    let request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
    Certificate {
        device: "d-0123".into(),
        chain_pem: request.signed_by(&*ROOT).unwrap().pem(),
        ca_pem: ROOT.pem(),
        issued_at_ms,
        expires_at_ms: issued_at_ms + 6 * DAY_MS,
        region: "eu".into(),
        datacenter: "home".into(),
        node_pool: "gamers".into(),
        servers: vec!["127.0.0.1:4647".into()],
        account: AccountState { subject: "alice".into(), shown: "alice@example.test".into() },
    }
}

fn alice() -> AccountName {
    AccountName { subject: "alice".into(), shown: "alice@example.test".into() }
}

fn enrolled_on(dir: &Path, facts: Facts) -> IdentityFolder {
    let folder = IdentityFolder::with_facts(dir, facts);
    let csr = folder.signing_request().unwrap();
    folder.store(&certificate_for(&csr, 0), &pins(), now_ms()).unwrap();
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

    let device = folder.load(&pins()).unwrap();

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

    assert_eq!(copy.load(&pins()), None);
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
    copy.load(&pins());

    assert_ne!(fs::read(copy.file("device-key.pem")).unwrap(), key);
}

#[test]
fn a_new_mainboard_under_the_same_gpu_is_the_same_pc() {
    let dir = tempfile::tempdir().unwrap();
    let origin = IdentityFolder::with_facts(dir.path(), pc("board-1"));
    origin.know_gpus(["GPU-1".to_owned()]);
    let csr = origin.signing_request().unwrap();
    origin.store(&certificate_for(&csr, 0), &pins(), now_ms()).unwrap();

    let later = IdentityFolder::with_facts(dir.path(), pc("board-2"));
    later.know_gpus(["GPU-1".to_owned()]);

    assert!(later.load(&pins()).is_some());
}

#[test]
fn a_certificate_for_another_key_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let folder = IdentityFolder::with_facts(dir.path().join("a"), pc("board-1"));
    let other = IdentityFolder::with_facts(dir.path().join("b"), pc("board-1"));
    folder.signing_request().unwrap();

    let stored = folder.store(&certificate_for(&other.signing_request().unwrap(), 0), &pins(), now_ms());

    assert!(matches!(stored, Err(IdentityFault::NotOurs)));
    assert_eq!(folder.load(&pins()), None);
}

#[test]
fn a_device_id_that_is_no_name_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let folder = IdentityFolder::with_facts(dir.path(), pc("board-1"));
    let given = certificate_for(&folder.signing_request().unwrap(), 0);
    let names: [fn(&mut Certificate) -> &mut String; 4] =
        [|it| &mut it.device, |it| &mut it.region, |it| &mut it.datacenter, |it| &mut it.node_pool];

    for name in names {
        let mut given = given.clone();
        *name(&mut given) = "../d\"".into();
        let stored = folder.store(&given, &pins(), now_ms());
        assert!(matches!(stored, Err(IdentityFault::NotOurs)));
    }
}

#[test]
fn an_answer_with_another_root_or_a_server_elsewhere_changes_nothing_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    let files = || ["ca.pem", "chain.pem", "device.json"].map(|name| fs::read(folder.file(name)).unwrap());
    let (before, device) = (files(), folder.device());
    let fresh = certificate_for(&folder.signing_request().unwrap(), 5);
    let other_root = Certificate { ca_pem: root().pem(), ..fresh.clone() };
    let elsewhere = Certificate { servers: vec!["evil.example.test:4647".into()], ..fresh };

    for given in [other_root, elsewhere] {
        let stored = folder.store(&given, &pins(), now_ms());
        assert!(matches!(stored, Err(IdentityFault::NotPinned(_))), "{stored:?}");
    }

    assert_eq!((files(), folder.device()), (before, device));
}

#[test]
fn a_root_that_an_earlier_version_took_unchecked_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    fs::write(folder.file("ca.pem"), root().pem()).unwrap();

    let device = IdentityFolder::with_facts(dir.path(), pc("board-1")).load(&pins());

    assert_eq!(device, None);
}

#[test]
fn whose_device_it_is_outlives_the_program_and_follows_the_gateways_word() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    let again = || IdentityFolder::with_facts(dir.path(), pc("board-1")).load(&pins()).unwrap().owner;
    let before = again();
    let renamed = AccountName { shown: "alice@new.example.test".into(), ..alice() };

    folder.know_owner(&renamed).unwrap();

    assert_eq!((before, again()), (Some(alice()), Some(renamed.clone())));
    assert_eq!(folder.device().unwrap().owner, Some(renamed));
}

#[test]
fn a_record_of_before_the_gateway_told_has_no_owner() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    let mut record: serde_json::Value = read_json(&folder.file("device.json")).unwrap();
    record.as_object_mut().unwrap().remove("owner").unwrap();
    fs::write(folder.file("device.json"), record.to_string()).unwrap();

    let device = IdentityFolder::with_facts(dir.path(), pc("board-1")).load(&pins());

    assert_eq!(device.unwrap().owner, None);
}

/// A laptop with a radio whose address is made up: its parts are its dock's network card and its GPU.
fn laptop(cards: &[&str], gpus: &[&str]) -> Facts {
    laptop_with(cards, gpus, "system-1")
}

fn laptop_with(cards: &[&str], gpus: &[&str], system: &str) -> Facts {
    let owned = |parts: &[&str]| parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
    Facts::of_parts([], owned(cards), owned(gpus)).with_system(Some(system.to_owned()))
}

const GPU: &str = "GPU-bbbbbbbb-0000-4000-8000-000000000002";

#[test]
fn a_laptop_without_its_dock_keeps_its_device_before_and_after_its_card_is_known() {
    let dir = tempfile::tempdir().unwrap();
    enrolled_on(dir.path(), laptop(&["0c:37:96:11:22:33"], &[GPU]));
    let on_the_sofa = IdentityFolder::with_facts(dir.path(), laptop(&["3c:a8:2a:44:55:66"], &[]));

    let early = on_the_sofa.load(&pins());
    let belonging = on_the_sofa.know_gpus([GPU.to_owned()]);
    let with_yet_another_card = IdentityFolder::with_facts(dir.path(), laptop(&["3c:a8:2a:44:55:66"], &[]));

    assert_eq!((early.unwrap().id.as_str(), belonging), ("d-0123", Belonging::Ours));
    assert_eq!(on_the_sofa.device().unwrap().id, "d-0123");
    assert!(with_yet_another_card.load(&pins()).is_some());
}

#[test]
fn a_system_that_was_installed_anew_without_the_dock_waits_for_the_card_to_tell() {
    for (found, expected) in
        [(GPU, Belonging::Ours), ("GPU-cccccccc-0000-4000-8000-000000000003", Belonging::Elsewhere)]
    {
        let dir = tempfile::tempdir().unwrap();
        enrolled_on(dir.path(), laptop(&["0c:37:96:11:22:33"], &[GPU]));
        let anew =
            IdentityFolder::with_facts(dir.path(), laptop_with(&["3c:a8:2a:44:55:66"], &[], "system-2"));

        let early = anew.load(&pins());
        let belonging = anew.know_gpus([found.to_owned()]);

        assert_eq!((early.is_some(), belonging), (true, expected), "{found}");
    }
}

#[test]
fn a_laptop_whose_cards_are_never_known_keeps_its_device() {
    let dir = tempfile::tempdir().unwrap();
    enrolled_on(dir.path(), laptop(&["0c:37:96:11:22:33"], &[]));

    let on_the_sofa = IdentityFolder::with_facts(dir.path(), laptop(&["3c:a8:2a:44:55:66"], &[]));

    assert!(on_the_sofa.load(&pins()).is_some());
    assert_eq!(on_the_sofa.know_gpus([]), Belonging::Ours);
}

#[test]
fn a_copied_disk_shows_as_soon_as_its_card_is_known_and_gets_its_own_key() {
    let dir = tempfile::tempdir().unwrap();
    let origin = enrolled_on(dir.path(), laptop(&["0c:37:96:11:22:33"], &[GPU]));
    let key = fs::read(origin.file("device-key.pem")).unwrap();
    let copy = IdentityFolder::with_facts(dir.path(), laptop(&["3c:a8:2a:44:55:66"], &[]));

    let early = copy.load(&pins());
    let belonging = copy.know_gpus(["GPU-cccccccc-0000-4000-8000-000000000003".to_owned()]);

    assert!(early.is_some(), "nothing shows it yet");
    assert_eq!((belonging, copy.device(), copy.enrolled()), (Belonging::Elsewhere, None, None));
    assert_ne!(fs::read(copy.file("device-key.pem")).unwrap(), key);
    assert_eq!(copy.load(&pins()), None);
}

#[test]
fn a_device_that_is_set_aside_leaves_a_new_key_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    let key = fs::read(folder.file("device-key.pem")).unwrap();

    folder.set_aside().unwrap();
    folder.signing_request().unwrap();

    assert_eq!((folder.device(), folder.enrolled(), folder.load(&pins())), (None, None, None));
    assert_ne!(fs::read(folder.file("device-key.pem")).unwrap(), key);
    assert_eq!(fs::read(dir.path().join("set-aside-1/device-key.pem")).unwrap(), key);
}

type Damage = (&'static str, fn(&Path));

/// What may have become of a file.
const DAMAGES: [Damage; 8] = [
    ("empty", |path| fs::write(path, "").unwrap()),
    ("torn", |path| {
        let content = fs::read(path).unwrap();
        fs::write(path, &content[..content.len() / 2]).unwrap();
    }),
    ("zeros", |path| fs::write(path, [0; 300]).unwrap()),
    ("no text", |path| fs::write(path, [0xff; 300]).unwrap()),
    ("without end", |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap()),
    ("a folder", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        fs::write(path.join("notes"), "theirs").unwrap();
    }),
    ("a link to nothing", |path| {
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("nowhere", path).unwrap();
    }),
    ("a pipe", |path| {
        fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    }),
];

#[test]
fn whatever_has_become_of_a_file_of_the_identity_this_pc_can_enrol_again() {
    let names =
        ["device-key.pem", "device.json", "chain.pem", "ca.pem", "roots-words.pem", "fingerprint.json"];
    for (name, (what, damage)) in names.into_iter().flat_map(|name| DAMAGES.map(|damage| (name, damage))) {
        let dir = tempfile::tempdir().unwrap();
        damage(&enrolled_on(dir.path(), pc("board-1")).file(name));

        let folder = IdentityFolder::with_facts(dir.path(), pc("board-1"));
        folder.load(&pins());
        let csr = folder.signing_request().unwrap_or_else(|fault| panic!("{name}: {what}: {fault}"));
        let kept = folder.store(&certificate_for(&csr, 0), &pins(), now_ms());

        assert!(kept.is_ok(), "{name}: {what}: {kept:?}");
        let next = IdentityFolder::with_facts(dir.path(), pc("board-1"));
        assert!(next.load(&pins()).is_some(), "{name}: {what}");
    }
}

#[test]
fn a_damaged_record_reads_as_not_enrolled_and_keeps_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let folder = enrolled_on(dir.path(), pc("board-1"));
    let key = fs::read(folder.file("device-key.pem")).unwrap();
    fs::write(folder.file("device.json"), "{").unwrap();

    let device = folder.load(&pins());

    assert_eq!(device, None);
    assert_eq!(fs::read(folder.file("device-key.pem")).unwrap(), key);
}
