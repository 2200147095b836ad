//! What goes and what stays.

use proptest::prelude::*;

use super::*;

fn redact(text: &str) -> String {
    String::from_utf8(Redactor::new(Some(Path::new("/srv/people/alice"))).redact(text.as_bytes())).unwrap()
}

#[test]
fn tokens_are_taken_out_of_every_shape_they_come_in() {
    let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl";
    for line in [
        format!("Authorization: Bearer {jwt}"),
        "authorization: bearer abcdef0123456789".to_owned(),
        format!(r#"{{"access_token":"{jwt}","x":1}}"#),
        format!("token {jwt} was taken"),
        r#"{"refresh_token":"abcdef0123456789"}"#.to_owned(),
        r#"{"body":"{\"refresh_token\":\"abcdef0123456789\",\"n\":1}"}"#.to_owned(),
        "refresh_token=abcdef0123456789&grant_type=x".to_owned(),
        "X-Nomad-Token: abcdef0123456789".to_owned(),
        "Cookie: abcdef0123456789".to_owned(),
        r#"Grant { token: Some("abcdef0123456789"), password: "abcdef\"0123456789" }"#.to_owned(),
        "{'password': 'abcdef0123456789'}".to_owned(),
        "https://alice:abcdef0123456789@host/".to_owned(),
    ] {
        let clean = redact(&line);
        assert!(!clean.contains("abcdef0123456789") && !clean.contains("eyJ"), "{line} became {clean}");
        assert!(clean.contains("[redacted]"), "{clean}");
    }
}

#[test]
fn a_redacted_json_line_is_still_json() {
    let line = r#"{"message":"got {\"refresh_token\":\"abc123\",\"n\":1}","token":"xyz","secret":5,"n":1}"#;
    let clean = redact(line);
    assert!(!clean.contains("abc123") && !clean.contains("xyz"), "{clean}");
    let value: Option<serde_json::Value> = serde_json::from_str(&clean).ok();
    assert!(value.is_some_and(|value| value["n"] == 1), "{clean}");
}

#[test]
fn a_presigned_address_keeps_its_path_and_loses_its_query() {
    let url = "PUT http://s3:1/b/d-1/app/x.log.gz?X-Amz-Algorithm=AWS4&X-Amz-Credential=K%2F2026&X-Amz-Signature=5f";
    assert_eq!(redact(url), "PUT http://s3:1/b/d-1/app/x.log.gz?[redacted]");
    let escaped = r#"{"url":"http://s3/b/k?a=1\u0026X-Amz-Credential=K\u0026X-Amz-Signature=5f","n":1}"#;
    assert_eq!(redact(escaped), r#"{"url":"http://s3/b/k?[redacted]","n":1}"#);
    assert_eq!(redact("X-Amz-Signature: 5f00ee"), "X-Amz-Signature: [redacted]");
}

#[test]
fn a_private_key_is_taken_out_in_one_line_and_over_many() {
    let inline = r#"{"k":"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n","n":1}"#;
    let clean = redact(inline);
    assert!(!clean.contains("MIGH") && clean.ends_with(r#","n":1}"#), "{clean}");

    let mut redactor = Redactor::new(None);
    let mut lines = Vec::new();
    for line in
        ["a -----BEGIN EC PRIVATE KEY-----\n", "MHcCAQEE\n", "-----END EC PRIVATE KEY----- b\n", "c\n"]
    {
        lines.extend(redactor.redact(line.as_bytes()));
    }
    let clean = String::from_utf8(lines).unwrap();
    assert!(!clean.contains("MHc"), "{clean}");
    assert!(clean.ends_with("[redacted] b\nc\n") && clean.lines().count() == 4, "{clean}");
}

#[test]
fn a_key_that_never_ends_does_not_swallow_the_log() {
    let mut redactor = Redactor::new(None);
    let mut text = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    text.push_str(&"x\n".repeat(LONGEST_KEY_LINES as usize));
    text.push_str("later\n");
    let clean = String::from_utf8(redactor.redact(text.as_bytes())).unwrap();
    assert!(clean.ends_with("later\n"), "{clean}");
}

#[test]
fn addresses_and_the_owners_name_are_taken_out() {
    assert_eq!(redact("mail to alice.b+x@example.test now"), "mail to [e-mail] now");
    assert_eq!(redact("/home/alice/.config and /Users/al"), "/home/[owner]/.config and /Users/[owner]");
    assert_eq!(redact(r#"{"p":"C:\\Users\\Al Ice\\x"}"#), r#"{"p":"C:\\Users\\[owner] Ice\\x"}"#);
    assert_eq!(redact("open /srv/people/alice/logs"), "open /srv/people/[owner]/logs");
}

#[test]
fn ordinary_lines_pass_unchanged() {
    for line in [
        r#"{"timestamp":"2026-11-23T06:36:53.1Z","level":"INFO","message":"online","node":"d-0f","seconds":1.5}"#,
        "client: node registration complete",
        "certificate BEGIN CERTIFICATE and the words bearer of news",
        "",
    ] {
        assert_eq!(redact(line), line);
    }
}

#[test]
fn bytes_that_are_no_text_stay_as_they_are() {
    let line = b"\xff\xfe Bearer 0123456789abcdef \x00\n";
    assert_eq!(Redactor::new(None).redact(line), b"\xff\xfe Bearer [redacted] \x00\n");
}

const SECRET: &str = "Zq7w-9XkV2pLm4Rt8";

#[track_caller]
fn assert_gone(line: &str) {
    let clean = redact(line);
    for piece in [SECRET, "Zq7w", "Rt8", "horse", "staple"] {
        assert!(!clean.contains(piece), "{line}\n became {clean}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one list of spellings")]
fn a_secret_is_known_by_its_name_however_the_name_is_written() {
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "aws_secret_access_key",
        "HF_TOKEN",
        "hfToken",
        "auth",
        "_auth",
        "password",
        "DB_PASSWORD",
        "db.password",
        "PGPASSWORD",
        "MYSQL_PWD",
        "passphrase",
        "client_secret",
        "clientSecret",
        "apiKey",
        "x-api-key",
        "OPENAI_API_KEY",
        "WANDB_API_KEY",
        "LICENSE_KEY",
        "SECRET_KEY_BASE",
        "X-Vault-Token",
        "accessToken",
        "refresh_token",
        "authToken",
        "registry_credentials",
        "AccountKey",
        "SharedAccessKey",
        "session_id",
        "TOKEN_V2",
        "PASSWORD1",
        "webhook_url",
    ] {
        for line in [
            format!("{name}={SECRET}"),
            format!("export {name}='{SECRET}'"),
            format!("{name} = \"{SECRET}\""),
            format!(r#"{{"a":1,"{name}":"{SECRET}","b":2}}"#),
            format!(r#"{{"message":"{{\"{name}\":\"{SECRET}\"}}"}}"#),
            format!(r#"{{"message":"{{\\\"{name}\\\":\\\"{SECRET}\\\"}}"}}"#),
            format!("Config {{ x: 1, {name}: \"{SECRET}\" }}"),
            format!("Config {{ x: 1, {name}: Some(\"{SECRET}\") }}"),
            format!("{{'{name}': '{SECRET}'}}"),
            format!("--{name} {SECRET}"),
            format!("--{name}={SECRET}"),
            format!(r#"["--{name}","{SECRET}"]"#),
            format!(r#"{{"name":"{name}","value":"{SECRET}"}}"#),
            format!("https://host/path?x=1&{name}={SECRET}&y=2"),
            format!("<{name}>{SECRET}</{name}>"),
            format!(r#"["{name}={SECRET}","OTHER=1"]"#),
        ] {
            assert_gone(&line);
        }
    }
}

#[test]
fn the_rest_of_a_password_with_spaces_goes_too() {
    for line in [
        "password=correct horse battery staple",
        "password: correct horse battery staple",
        "DB_PASSWORD = correct horse, battery; staple",
        r#"{"message":"login with password=correct horse battery staple","user":"x"}"#,
        r#"{"password":"correct horse \" battery staple"}"#,
        "passphrase='correct horse battery staple'",
        "Cookie: a=b; horse=staple",
        r#"{"secrets":["correct horse","battery staple"]}"#,
        "secret=\"correct horse battery staple",
    ] {
        assert_gone(line);
    }
    let clean = redact("password=correct horse battery staple user=alice");
    assert_eq!(clean, "password=[redacted] user=alice");
    let clean = redact(r#"{"message":"password=correct horse","n":1}"#);
    assert_eq!(clean, r#"{"message":"password=[redacted]","n":1}"#);
}

#[test]
fn well_known_tokens_go_without_any_name() {
    for token in [
        "ietk_Zq7w9XkV2pLm4Rt8",
        "hf_Zq7w9XkV2pLm4Rt8aaaa",
        "ghp_Zq7w9XkV2pLm4Rt8aaaa",
        "github_pat_Zq7w9XkV2pLm4Rt8aaaa",
        "glpat-Zq7w9XkV2pLm4Rt8",
        "xoxb-1234-Zq7w9XkV2pLm4Rt8",
        "sk-proj-Zq7w9XkV2pLm4Rt8",
        "sk_live_Zq7w9XkV2pLm4Rt8",
        "AKIAZQ7W9XKV2PLM4RT8",
        "ASIAZQ7W9XKV2PLM4RT8",
        "AIzaZq7w9XkV2pLm4Rt8aaaaaaaaaaaaaaaa0",
        "ya29.Zq7w9XkV2pLm4Rt8",
        "GOCSPX-Zq7w9XkV2pLm4Rt8",
        "nvapi-Zq7w9XkV2pLm4Rt8",
        "hvs.Zq7w9XkV2pLm4Rt8",
        "s.Zq7w9XkV2pLm4Rt8aaaaaaaa",
        "npm_Zq7w9XkV2pLm4Rt8aaaaaaaaaaaaaaaa",
        "pypi-Zq7w9XkV2pLm4Rt8",
        "dckr_pat_Zq7w9XkV2pLm4Rt8",
        "dop_v1_Zq7w9XkV2pLm4Rt8",
        "SG.Zq7w9XkV2pLm4Rt8.aaaaaaaaaaaaaaaaa",
        "AGE-SECRET-KEY-1ZQ7W9XKV2PLM4RT8",
        "eyJhbGciOiJSUzI1NiJ9.Zq7w9XkV2pLm4Rt8.x",
        "eyJZq7w9XkV2pLm4Rt8",
    ] {
        for line in [
            format!("got {token} today"),
            format!("({token})"),
            format!(r#"{{"x":"{token}"}}"#),
            format!(r"a\n{token}"),
            format!("x=%3D{token}"),
        ] {
            let clean = redact(&line);
            assert!(!clean.contains(&token[token.len() - 6..]), "{line}\n became {clean}");
        }
    }
}

#[test]
fn headers_addresses_and_signed_queries_lose_what_opens_doors() {
    for line in [
        format!("Authorization: Bearer {SECRET}"),
        format!("Authorization: Basic {SECRET}=="),
        format!("Authorization: Token {SECRET}"),
        format!("Proxy-Authorization: Negotiate {SECRET}"),
        format!("authorization=Bearer%20{SECRET}"),
        format!("(\"authorization\", \"Bearer {SECRET}\")"),
        format!("Authorization: AWS4-HMAC-SHA256 Credential=AKIA/2026, Signature={SECRET}"),
        format!("Set-Cookie: sid={SECRET}; Path=/"),
        format!("postgres://user:{SECRET}@db/x"),
        format!("postgres://user:a/{SECRET}@db/x"),
        format!("https://{SECRET}@github.com/x"),
        format!(r"https:\/\/u:{SECRET}@host\/x"),
        format!("redis://:{SECRET}@host:6379"),
        format!("https://b.blob.core.windows.net/x?sv=1&se=2&sig={SECRET}"),
        format!("https://storage.googleapis.com/b/k?X-Goog-Algorithm=x&X-Goog-Signature={SECRET}"),
        format!("http://127.0.0.1:1/callback?code={SECRET}&state=1"),
        format!("https://x.cloudfront.net/k?Expires=1&Signature={SECRET}&Key-Pair-Id=K"),
        format!("Server=x;Password={SECRET};Database=y"),
    ] {
        assert_gone(&line);
    }
}

#[test]
fn everyday_lines_with_everyday_words_pass_unchanged() {
    for line in [
        "client.auth: node registration complete",
        "max_tokens: 512 tokens_per_second=31.5 token_count=7",
        r#"{"tokens":512,"auth":false,"token":null,"secret":5}"#,
        "basic authentication failed, bearer tokens are asked for",
        "the key of the map is sorted; keys: 5",
        "git clone https://github.com/x/y.git and ssh://git@github.com:22/x",
        "http://127.0.0.1:8080/v1/nodes?index=5&wait=60s",
        "/proc/1/task/1/disk-1234567890123456 passed: 5, bypass=1",
        "2026-11-22T20:16:48.165Z [INFO]  agent: (runner) rendered",
    ] {
        assert_eq!(redact(line), line);
    }
}

#[test]
fn the_whole_set_takes_little_memory() {
    let heap = triggers::heap();
    println!("{heap} bytes of heap");
    assert!(heap < 128 << 10, "{heap}");
}

fn of_agent(line: &str) -> String {
    String::from_utf8(Redactor::new(None).of_agent().redact(line.as_bytes())).unwrap()
}

#[test]
fn an_agents_line_loses_what_a_task_brought() {
    for line in [
        r#"{"@level":"debug","@message":"launching","@module":"client.driver_mgr.raw_exec","args":["-c","horse staple"],"command":"/bin/horse"}"#,
        r#"{"@level":"debug","@message":"starting","@module":"client","env":{"A":"horse"},"config":"x = \"staple\""}"#,
        r#"{"@level":"trace","@message":"binding","@module":"client","binds":["/horse:/staple"],"labels":{"a":"horse"}}"#,
        r#"{"@level":"error","@message":"failed","@module":"client.alloc_runner.task_runner","error":"exec: \"horse --staple\": executable file not found in $PATH"}"#,
        r#"{"@level":"info","@message":"Task event","@module":"client.alloc_runner.task_runner","msg":"template \"horse\" of `staple`"}"#,
        r#"2026-11-22T20:16:48.165Z [DEBUG] client.driver_mgr: launching command: command=/bin/horse args="[-c staple]""#,
        r#"2026-11-22T20:16:48.165Z [DEBUG] client: starting: args=["a", "horse staple"] pid=7"#,
        "2026-11-22T20:16:48.165Z [DEBUG] client: env=A=horse B=staple",
        "2026-11-22T20:16:48.165Z [ERROR] client: failed: error=\"exec: \\\"horse staple\\\": not found\"",
        "  | horse staple",
        r#"{"@message":"torn","args":["horse"#,
    ] {
        let clean = of_agent(line);
        assert!(!clean.contains("horse") && !clean.contains("staple"), "{line}\n became {clean}");
        assert!(clean.contains("[cut]"), "{clean}");
        if line.starts_with("{\"@level") {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&clean);
            assert!(parsed.is_ok(), "{clean}");
        }
    }
    let kept = r#"{"@level":"debug","@message":"starting plugin","@module":"client","path":"[cut]","pid":7}"#;
    assert_eq!(of_agent(&kept.replace("[cut]", "/x/y")), kept);
}

#[test]
fn what_an_agent_says_of_itself_stays() {
    for line in [
        r#"{"@level":"error","@message":"error performing RPC to server","@module":"client.rpc","@timestamp":"2026-11-22T20:20:24.204761Z","error":"rpc error: write tcp 127.0.0.1:37772->127.0.0.1:14647: write: broken pipe","rpc":"Node.Register","server":{"IP":"127.0.0.1","Port":14647,"Zone":""}}"#,
        r#"{"@level":"info","@message":"Task event","@module":"client.alloc_runner.task_runner","alloc_id":"fedbb3b1","failed":false,"msg":"Task received by client","task":"t","type":"Received"}"#,
        "2026-11-22T20:16:48.165Z [INFO]  client: node registration complete: node_id=4ad47f55 ttl=20s",
        "==> Nomad agent started! Log data will stream in below:",
    ] {
        assert_eq!(of_agent(line), line);
    }
}

#[test]
fn text_on_a_screen_commands_nothing() {
    assert_eq!(printable("train\x1b[31m red\x1b[0m"), "train red");
    assert_eq!(printable("a\x1b]0;title\x07b\x1b]52;c;AAAA\x1b\\c"), "abc");
    assert_eq!(printable("a\u{9b}2Jb\rc\x08d\0e\u{202e}f"), "abcdef");
    assert_eq!(printable("a\x1b[12\nb\x1b"), "a\nb");
    assert_eq!(printable("plain\ttext ü"), "plain\ttext ü");
}

proptest! {
    #[test]
    fn no_bytes_upset_it_and_lines_stay_lines(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for mut redactor in [Redactor::new(None), Redactor::new(None).of_agent()] {
            let clean = redactor.redact(&bytes);
            let lines = |text: &[u8]| text.iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(lines(&clean), lines(&bytes));
        }
    }

    #[test]
    fn no_line_of_names_quotes_and_signs_upsets_it(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("password"), Just("token"), Just("\""), Just("\\"), Just("="), Just(":"), Just(" "), Just("["),
                Just("]"), Just("{"), Just("}"), Just(","), Just("-----BEGIN PRIVATE KEY-----"), Just("-----END "),
                Just("://"), Just("@"), Just("?"), Just("X-Amz-Signature"), Just("Bearer"), Just("'"), Just("s."),
                Just("args"), Just("exec: "), Just("Some("), Just("|"), Just("%40"), Just("7"), Just("--"),
            ],
            0..40,
        ),
    ) {
        let line = parts.concat();
        let mut redactor = Redactor::new(Some(Path::new("/srv/people/alice")));
        redactor.redact(line.as_bytes());
        redactor.clone().of_agent().redact(line.as_bytes());
    }

    #[test]
    fn a_redacted_line_has_nothing_more_to_redact(value in "[a-zA-Z0-9]{8,30}", user in "[a-z]{3,8}") {
        let line = format!(r#"{{"token":"{value}","m":"password={value} user={user} Bearer {value}9A"}}"#);
        let once = redact(&line);
        prop_assert_eq!(redact(&once), once);
    }
}
