//! Which names are the internet's. What the owner's network is called, and who is in it, is nobody's business inside: of that nothing is
//! known, whoever their resolver is. What is asked inside is read and asked anew, and what is answered is read and told anew: no word of
//! either that was not understood goes on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::svcb::{SVCB, SvcParamValue};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use crate::filter::is_closed;

/// Zones that are no part of the internet's (RFC 6761, 6762, 8375, 9462, and what routers and companies are set up with).
const OWNERS: [&str; 17] = [
    "corp",
    "domain",
    "fritz.box",
    "gateway",
    "home",
    "home.arpa",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
    "resolver.arpa",
    "router",
];
/// No datagram is longer: whoever wants more asks by a stream.
const DATAGRAM: usize = 512;

/// One question of somebody's inside.
#[derive(Debug)]
pub struct Asked {
    id: u16,
    question: Query,
}

/// The same question in words of our own.
#[derive(Debug)]
pub struct Anew {
    id: u16,
    question: Query,
    pub message: Vec<u8>,
}

/// What came in return.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// To another question, or it cannot be read.
    Other,
    /// There is more than fits.
    Cut,
    Answer(Vec<u8>),
}

impl Asked {
    /// None where it is no question: nobody answers that.
    pub fn read(said: &[u8]) -> Option<Self> {
        let message = Message::from_vec(said).ok()?;
        let asks = message.message_type == MessageType::Query && message.op_code == OpCode::Query;
        match message.queries.as_slice() {
            [question] if asks => Some(Self { id: message.id, question: question.clone() }),
            _ => None,
        }
    }

    /// Whether it is for one name, of the internet's.
    pub fn may_be_asked(&self) -> bool {
        let whole_zones = [RecordType::AXFR, RecordType::IXFR, RecordType::OPT, RecordType::TSIG];
        self.question.query_class == DNSClass::IN
            && !whole_zones.contains(&self.question.query_type)
            && is_the_internets(&self.question.name)
    }

    /// # Errors
    /// The name cannot be written.
    pub fn anew(&self) -> Result<Anew, ProtoError> {
        let question = Query::query(self.question.name.to_lowercase(), self.question.query_type);
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(question.clone());
        Ok(Anew { id: message.id, question, message: message.to_vec()? })
    }

    /// There is no such name.
    pub fn unknown(&self) -> Option<Vec<u8>> {
        self.answer(ResponseCode::NXDomain, Vec::new(), Vec::new())
    }

    /// It could not be found out.
    pub fn failed(&self) -> Option<Vec<u8>> {
        self.answer(ResponseCode::ServFail, Vec::new(), Vec::new())
    }

    /// What of an answer a datagram has room for: all of it, or the word to ask by a stream.
    pub fn in_a_datagram(&self, answer: Vec<u8>) -> Option<Vec<u8>> {
        if answer.len() <= DATAGRAM {
            return Some(answer);
        }
        let mut cut = self.head(ResponseCode::NoError);
        cut.metadata.truncation = true;
        cut.to_vec().ok()
    }

    /// Only what leads to the internet is told.
    fn told(&self, answer: Message) -> Option<Vec<u8>> {
        let (answers, authorities) = (answer.answers, answer.authorities);
        if answers.iter().chain(&authorities).all(leads_outside) {
            self.answer(answer.metadata.response_code, answers, authorities)
        } else {
            self.unknown()
        }
    }

    fn answer(&self, code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Option<Vec<u8>> {
        let mut said = self.head(code);
        (said.answers, said.authorities) = (answers, authorities);
        said.to_vec().ok()
    }

    fn head(&self, code: ResponseCode) -> Message {
        let mut said = Message::response(self.id, OpCode::Query);
        said.metadata.recursion_desired = true;
        said.metadata.recursion_available = true;
        said.metadata.response_code = code;
        said.add_query(self.question.clone());
        said
    }
}

impl Anew {
    /// What that says, to whoever asked.
    pub fn heard(&self, said: &[u8], asked: &Asked) -> Heard {
        let Ok(answer) = Message::from_vec(said) else { return Heard::Other };
        let is_ours = answer.message_type == MessageType::Response
            && answer.id == self.id
            && answer.queries.as_slice() == [self.question.clone()];
        match is_ours {
            true if answer.truncation => Heard::Cut,
            true => asked.told(answer).map_or(Heard::Other, Heard::Answer),
            false => Heard::Other,
        }
    }
}

fn is_the_internets(name: &Name) -> bool {
    let labels: Vec<String> =
        name.iter().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
    let name = labels.join(".");
    let within =
        |zone: &str| name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    if within("in-addr.arpa") {
        let mut octets = [0; 4];
        let known = labels.iter().rev().skip(2);
        octets.iter_mut().zip(known).for_each(|(octet, label)| *octet = label.parse().unwrap_or(0));
        return !is_closed(Ipv4Addr::from(octets));
    }
    if within("ip6.arpa") {
        return labels.iter().rev().nth(2).is_some_and(|first| first == "2" || first == "3");
    }
    labels.len() > 1 && !OWNERS.iter().any(|zone| within(zone))
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of many kinds, those that lead anywhere")]
fn leads_outside(record: &Record) -> bool {
    let data = &record.data;
    record.dns_class == DNSClass::IN
        && data.ip_addr().is_none_or(is_outside)
        && match data {
            RData::CNAME(name) => is_outsiders(name),
            RData::PTR(name) => is_outsiders(name),
            RData::NS(name) => is_outsiders(name),
            RData::MX(mail) => is_outsiders(&mail.exchange),
            RData::SRV(service) => is_outsiders(&service.target),
            RData::SVCB(service) => service_is_outside(service),
            RData::HTTPS(service) => service_is_outside(service),
            _ => true,
        }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of many hints, those that are addresses")]
fn service_is_outside(service: &SVCB) -> bool {
    is_outsiders(&service.target_name)
        && service.svc_params.iter().all(|(_, value)| match value {
            SvcParamValue::Ipv4Hint(hints) => hints.0.iter().all(|hint| is_outside(hint.0.into())),
            SvcParamValue::Ipv6Hint(hints) => hints.0.iter().all(|hint| is_outside(hint.0.into())),
            _ => true,
        })
}

/// The root stands for nobody.
fn is_outsiders(name: &Name) -> bool {
    name.is_root() || is_the_internets(name)
}

fn is_outside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !is_closed(address),
        IpAddr::V6(address) => is_global(address),
    }
}

/// Of the block that the internet is numbered from; 6to4 spells addresses of version 4.
fn is_global(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    let [a, b, c, d] = [second >> 8, second & 255, third >> 8, third & 255].map(|part| part as u8);
    first & 0xe000 == 0x2000 && !(first == 0x2002 && is_closed(Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Edns;
    use hickory_proto::rr::rdata::svcb::{IpHint, SvcParamKey};
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, HTTPS, MX, PTR, TXT};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(format!("{text}.")).unwrap()
    }

    /// As a program asks that has much to say.
    fn asked(text: &str, kind: RecordType) -> Message {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.checking_disabled = true;
        message.add_query(Query::query(if text.is_empty() { Name::root() } else { name(text) }, kind));
        let mut edns = Edns::new();
        edns.set_max_payload(4096).set_dnssec_ok(true);
        message.set_edns(edns);
        message
    }

    fn question(text: &str) -> Asked {
        Asked::read(&asked(text, RecordType::A).to_vec().unwrap()).unwrap()
    }

    /// What is heard inside of such an answer.
    fn told(data: RData) -> Message {
        let asked = question("Web.example.com");
        let anew = asked.anew().unwrap();
        let mut answer = Message::from_vec(&anew.message).unwrap().into_response();
        answer.add_answer(Record::from_rdata(name("web.example.com"), 9, data));
        match anew.heard(&answer.to_vec().unwrap(), &asked) {
            Heard::Answer(answer) => Message::from_vec(&answer).unwrap(),
            other @ (Heard::Other | Heard::Cut) => panic!("{other:?}"),
        }
    }

    fn is_told(data: RData) -> bool {
        let told = told(data.clone());
        assert_eq!((told.id, told.queries[0].name.to_string().as_str()), (7, "Web.example.com."));
        let nothing = told.answers.is_empty() && told.response_code == ResponseCode::NXDomain;
        assert!(nothing || told.answers[0].data == data, "{told}");
        !nothing
    }

    #[test]
    fn names_of_the_owners_network_are_not_asked_for() {
        for name in [
            "nas",
            "",
            "nas.local",
            "NAS.Local",
            "x.home.arpa",
            "home.arpa",
            "pc.fritz.box",
            "printer.lan",
            "2.7.168.192.in-addr.arpa",
            "168.192.in-addr.arpa",
            "10.in-addr.arpa",
            "1.64.100.in-addr.arpa",
            "1.0.0.0.d.f.ip6.arpa",
            "8.e.f.ip6.arpa",
            "_dns.resolver.arpa",
            "localhost",
        ] {
            assert!(!question(name).may_be_asked(), "{name}");
        }
        for name in [
            "example.com",
            "lan.example.com",
            "notlocal.example",
            "8.8.8.8.in-addr.arpa",
            "1.0.0.2.ip6.arpa",
            "atlan.tic",
        ] {
            assert!(question(name).may_be_asked(), "{name}");
        }
        let zone = Asked::read(&asked("example.com", RecordType::AXFR).to_vec().unwrap()).unwrap();
        assert!(!zone.may_be_asked(), "a whole zone");
        let unknown = Message::from_vec(&question("nas").unknown().unwrap()).unwrap();
        assert_eq!((unknown.id, unknown.response_code), (7, ResponseCode::NXDomain));
    }

    #[test]
    fn an_address_of_a_closed_network_is_not_told_whatever_name_leads_there() {
        let four = |text: &str| RData::A(A(text.parse().unwrap()));
        let six = |text: &str| RData::AAAA(AAAA(text.parse().unwrap()));
        for text in ["192.168.7.2", "10.0.0.1", "169.254.169.254", "100.64.0.9", "127.0.0.1"] {
            assert!(!is_told(four(text)), "{text}");
        }
        for text in
            ["fd00::1", "fe80::1", "::1", "::ffff:192.168.7.2", "64:ff9b::c0a8:702", "2002:c0a8:702::1"]
        {
            assert!(!is_told(six(text)), "{text}");
        }
        let service = |hint: [u8; 4]| {
            let hints = SvcParamValue::Ipv4Hint(IpHint(vec![A(hint.into())]));
            RData::HTTPS(HTTPS(SVCB::new(1, Name::root(), vec![(SvcParamKey::Ipv4Hint, hints)])))
        };
        assert!(!is_told(service([192, 168, 7, 2])));
        assert!(!is_told(RData::CNAME(CNAME(name("nas.fritz.box")))));
        assert!(!is_told(RData::PTR(PTR(name("attic")))));

        assert!(
            is_told(four("45.0.0.10")) && is_told(six("2606:4700::1")) && is_told(service([45, 0, 0, 10]))
        );
        assert!(is_told(RData::TXT(TXT::new(vec!["txt".to_owned()]))));
        assert!(is_told(RData::MX(MX::new(0, Name::root()))), "no mail at all");
    }

    #[test]
    fn what_is_asked_inside_is_asked_in_words_of_our_own() {
        let asked = question("WEB.Example.com");
        let anew = Message::from_vec(&asked.anew().unwrap().message).unwrap();

        let mut plain = Message::new(anew.id, MessageType::Query, OpCode::Query);
        plain.metadata.recursion_desired = true;
        plain.add_query(Query::query(name("web.example.com"), RecordType::A));
        assert_eq!(anew, plain, "nothing but one name and one kind");
        assert_eq!(anew.queries[0].name.to_string(), "web.example.com.");
        let ids = (0..20).map(|_| asked.anew().unwrap().id).collect::<std::collections::BTreeSet<_>>();
        assert!(ids.len() > 15, "nobody guesses them: {ids:?}");
    }

    #[test]
    fn only_the_answer_to_that_question_counts_and_one_that_is_cut_is_asked_for_again() {
        let asked = question("web.example.com");
        let anew = asked.anew().unwrap();
        let right = Message::from_vec(&anew.message).unwrap().into_response();
        let heard = |change: &dyn Fn(&mut Message)| {
            let mut answer = right.clone();
            change(&mut answer);
            anew.heard(&answer.to_vec().unwrap(), &asked)
        };

        assert!(matches!(heard(&|_| {}), Heard::Answer(_)));
        assert_eq!(heard(&|answer| answer.metadata.id ^= 1), Heard::Other);
        assert_eq!(heard(&|answer| answer.metadata.message_type = MessageType::Query), Heard::Other);
        assert_eq!(heard(&|answer| answer.queries[0].name = name("other.example.com")), Heard::Other);
        assert_eq!(heard(&|answer| answer.queries[0].query_type = RecordType::TXT), Heard::Other);
        assert_eq!(heard(&|answer| answer.queries.clear()), Heard::Other);
        assert_eq!(heard(&|answer| answer.metadata.truncation = true), Heard::Cut);
        let whole = right.to_vec().unwrap();
        assert!((0..whole.len()).all(|end| anew.heard(&whole[..end], &asked) == Heard::Other));
    }

    #[test]
    fn what_has_no_room_in_a_datagram_is_said_to_be_cut() {
        let asked = question("web.example.com");
        let long = RData::TXT(TXT::new(vec!["x".repeat(200); 3]));
        let whole = told(long).to_vec().unwrap();
        assert!(whole.len() > DATAGRAM);

        let cut = Message::from_vec(&asked.in_a_datagram(whole).unwrap()).unwrap();
        assert!(cut.truncation && cut.answers.is_empty() && cut.queries.len() == 1);
        let short = asked.unknown().unwrap();
        assert_eq!(asked.in_a_datagram(short.clone()), Some(short));
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let right = asked("example.com", RecordType::A);
        let read = |change: &dyn Fn(&mut Message)| {
            let mut message = right.clone();
            change(&mut message);
            Asked::read(&message.to_vec().unwrap()).is_some()
        };

        assert!(read(&|_| {}));
        assert!(!read(&|message| message.queries.clear()));
        assert!(!read(&|message| message.queries.push(message.queries[0].clone())));
        assert!(!read(&|message| message.metadata.message_type = MessageType::Response));
        assert!(!read(&|message| message.metadata.op_code = OpCode::Update));
        assert!(Asked::read(&[0; 12]).is_none() && Asked::read(&[1; 20]).is_none());
    }
}
