//! The first version of HCL, as Nomad reads its own configuration and policies: quoted keys are
//! allowed everywhere, a key may carry labels, and `=` before an object changes nothing. (The second
//! version, which the `hcl-rs` library reads, refuses `"ionet.host" = "x"` inside a block.)

use std::fmt;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(f64),
    Bool(bool),
    List(Vec<Value>),
    Object(Vec<Item>),
}

impl From<Value> for serde_json::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Text(text) => text.into(),
            Value::Number(number) => number.into(),
            Value::Bool(flag) => flag.into(),
            Value::List(values) => values.into_iter().map(Self::from).collect(),
            Value::Object(items) => {
                items.into_iter().map(|item| (item.keys[0].clone(), Self::from(item.value))).collect()
            }
        }
    }
}

/// One `key "label" … = value` or `key "label" … { … }`; `keys` is never empty.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) keys: Vec<String>,
    pub(crate) value: Value,
}

#[derive(Debug, PartialEq)]
pub(crate) struct SyntaxError {
    line: usize,
    column: usize,
    expected: &'static str,
    got: String,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "At {}:{}: {} got: {}", self.line, self.column, self.expected, self.got)
    }
}

pub(crate) fn parse(text: &str) -> Result<Vec<Item>, SyntaxError> {
    let mut reader = Reader { tokens: tokens(text)?, at: 0 };
    reader.items(&Token::End)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Ident(String),
    Text(String),
    Number(f64),
    Punct(char),
    End,
}

#[derive(Debug, Clone)]
struct Placed {
    token: Token,
    line: usize,
    column: usize,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Ident(_) => f.write_str("IDENT"),
            Token::Text(_) => f.write_str("STRING"),
            Token::Number(_) => f.write_str("NUMBER"),
            Token::Punct('{') => f.write_str("LBRACE"),
            Token::Punct('}') => f.write_str("RBRACE"),
            Token::Punct('[') => f.write_str("LBRACK"),
            Token::Punct(']') => f.write_str("RBRACK"),
            Token::Punct('=') => f.write_str("ASSIGN"),
            Token::Punct(c) => write!(f, "{c}"),
            Token::End => f.write_str("EOF"),
        }
    }
}

struct Reader {
    tokens: Vec<Placed>,
    at: usize,
}

impl Reader {
    fn items(&mut self, end: &Token) -> Result<Vec<Item>, SyntaxError> {
        let mut items = Vec::new();
        let mut previous: Option<usize> = None;
        loop {
            let next = self.peek().clone();
            if next.token == *end {
                self.at += 1;
                return Ok(items);
            }
            if previous == Some(next.line) {
                return Err(
                    self.unexpected("object list items must be on separate lines or separated by a comma")
                );
            }
            items.push(self.item()?);
            previous = Some(self.tokens[self.at - 1].line);
            if self.peek().token == Token::Punct(',') {
                self.at += 1;
                previous = None;
            }
        }
    }

    fn item(&mut self) -> Result<Item, SyntaxError> {
        let mut keys = Vec::new();
        loop {
            match self.peek().token.clone() {
                Token::Ident(key) | Token::Text(key) => {
                    self.at += 1;
                    keys.push(key);
                }
                Token::Punct('=') if !keys.is_empty() => {
                    self.at += 1;
                    return Ok(Item { keys, value: self.value()? });
                }
                Token::Punct('{') if !keys.is_empty() => return Ok(Item { keys, value: self.value()? }),
                Token::Punct(_) | Token::Number(_) => return Err(self.unexpected("expected: IDENT | STRING")),
                Token::End => return Err(self.unexpected("object expected closing RBRACE")),
            }
        }
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        let value = match self.peek().token.clone() {
            Token::Text(text) => Value::Text(text),
            Token::Number(number) => Value::Number(number),
            Token::Ident(word) if word == "true" => Value::Bool(true),
            Token::Ident(word) if word == "false" => Value::Bool(false),
            Token::Punct('{') => {
                self.at += 1;
                return Ok(Value::Object(self.items(&Token::Punct('}'))?));
            }
            Token::Punct('[') => {
                self.at += 1;
                return self.list();
            }
            Token::Ident(_) | Token::Punct(_) | Token::End => return Err(self.unexpected("Unknown token")),
        };
        self.at += 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        let mut values = Vec::new();
        while self.peek().token != Token::Punct(']') {
            values.push(self.value()?);
            match &self.peek().token {
                Token::Punct(',') => self.at += 1,
                Token::Punct(']') => {}
                Token::Ident(_) | Token::Text(_) | Token::Number(_) | Token::Punct(_) | Token::End => {
                    return Err(self.unexpected("error parsing list, expected comma or list end,"));
                }
            }
        }
        self.at += 1;
        Ok(Value::List(values))
    }

    fn peek(&self) -> &Placed {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn unexpected(&self, expected: &'static str) -> SyntaxError {
        let Placed { token, line, column } = self.peek();
        SyntaxError { line: *line, column: *column, expected, got: token.to_string() }
    }
}

#[expect(clippy::too_many_lines, reason = "one state machine")]
fn tokens(text: &str) -> Result<Vec<Placed>, SyntaxError> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut line_start) = (0, 1, 0);
    let mut found = Vec::new();
    while at < chars.len() {
        let column = at - line_start + 1;
        let mut push = |token| found.push(Placed { token, line, column });
        match chars[at] {
            '\n' => {
                line += 1;
                at += 1;
                line_start = at;
            }
            c if c.is_whitespace() => at += 1,
            '#' => at = line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'/') => at = line_end(&chars, at),
            '/' if chars.get(at + 1) == Some(&'*') => {
                at += 2;
                while at < chars.len() && !(chars[at] == '*' && chars.get(at + 1) == Some(&'/')) {
                    if chars[at] == '\n' {
                        line += 1;
                        line_start = at + 1;
                    }
                    at += 1;
                }
                at += 2;
            }
            '"' => match quoted(&chars, at + 1) {
                Some((text, end)) => {
                    push(Token::Text(text));
                    at = end;
                }
                None => {
                    return Err(SyntaxError {
                        line,
                        column,
                        expected: "literal not terminated,",
                        got: "EOF".into(),
                    });
                }
            },
            c @ ('{' | '}' | '[' | ']' | '=' | ',') => {
                push(Token::Punct(c));
                at += 1;
            }
            c if c.is_ascii_digit() || c == '-' => {
                let end = word_end(&chars, at + 1);
                let word: String = chars[at..end].iter().collect();
                let Ok(number) = word.parse() else {
                    return Err(SyntaxError { line, column, expected: "illegal number,", got: word });
                };
                push(Token::Number(number));
                at = end;
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = word_end(&chars, at);
                push(Token::Ident(chars[at..end].iter().collect()));
                at = end;
            }
            c => {
                return Err(SyntaxError { line, column, expected: "illegal character,", got: c.to_string() });
            }
        }
    }
    found.push(Placed { token: Token::End, line, column: at.saturating_sub(line_start) + 1 });
    Ok(found)
}

fn line_end(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|c| *c == '\n').map_or(chars.len(), |n| from + n)
}

fn word_end(chars: &[char], from: usize) -> usize {
    let is_word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    chars[from..].iter().position(|c| !is_word(c)).map_or(chars.len(), |n| from + n)
}

/// The text of a quoted literal that starts at `from`, and where the text after it goes on.
fn quoted(chars: &[char], from: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut at = from;
    loop {
        match chars.get(at)? {
            '"' => return Some((text, at + 1)),
            '\n' => return None,
            '\\' => {
                at += 1;
                text.push(match chars.get(at)? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => *other,
                });
            }
            c => text.push(*c),
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_inside_a_block_is_read() {
        let items = parse("meta {\n  \"ionet.host\" = \"h-1\" # why\n}\n").unwrap();

        let inner = Item { keys: vec!["ionet.host".into()], value: Value::Text("h-1".into()) };
        assert_eq!(items, vec![Item { keys: vec!["meta".into()], value: Value::Object(vec![inner]) }]);
    }

    #[test]
    fn labels_lists_and_an_object_after_an_equals_sign_are_read() {
        let items = parse(
            "namespace \"default\" { capabilities = [\"read-job\", \"submit-job\",] }\nmeta = { a = 1 }",
        )
        .unwrap();

        assert_eq!(items[0].keys, ["namespace", "default"]);
        assert_eq!(
            items[1].value,
            Value::Object(vec![Item { keys: vec!["a".into()], value: Value::Number(1.0) }])
        );
    }

    #[test]
    fn two_items_on_one_line_are_refused() {
        assert!(parse("acl { enabled = true token_ttl = \"1s\" }").is_err());
    }

    #[test]
    fn an_open_block_is_refused_with_its_place() {
        let error = parse("client {\n").unwrap_err();

        assert_eq!(error.to_string(), "At 2:1: object expected closing RBRACE got: EOF");
    }
}
