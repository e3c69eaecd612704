//! `http.tokens`: who may ask the HTTP server for what.
//!
//! Not here: how a request shows its token ([`crate::api`]).

use super::Secret;

/// A shorter secret can be guessed.
const SHORTEST: usize = 16;

/// What a token is good for. No scope holds another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Looking: metrics.
    Read,
    /// Changing what the process does.
    Operate,
}

impl Scope {
    /// As it is written in the settings and told to clients.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
        }
    }
}

/// One bearer token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Who holds it, for logs.
    pub name: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// What a request must show.
    pub secret: Secret,
}

/// Reads tokens written `NAME:SCOPE[+SCOPE]:SECRET`, separated by commas or white space.
///
/// # Errors
/// All that is wrong, by the number of the entry: its text may be a secret, so it is never repeated.
pub fn parse(text: &Secret) -> Result<Vec<Token>, Vec<String>> {
    let entries = text.expose().split([',', ' ', '\t', '\r', '\n']).filter(|entry| !entry.is_empty());
    let (mut tokens, mut problems) = (Vec::<Token>::new(), Vec::new());
    for (number, entry) in (1..).zip(entries) {
        match token(entry) {
            Ok(token) if tokens.iter().any(|other| other.secret == token.secret || other.name == token.name) => {
                problems.push(format!("token {number} has the name or the secret of an earlier one"));
            }
            Ok(token) => tokens.push(token),
            Err(why) => problems.push(format!("token {number} {why}")),
        }
    }
    if problems.is_empty() { Ok(tokens) } else { Err(problems) }
}

fn token(entry: &str) -> Result<Token, String> {
    let mut parts = entry.splitn(3, ':');
    let (Some(name), Some(scopes), Some(secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("is not NAME:SCOPES:SECRET, such as grafana:read:SECRET or ops:read+operate:SECRET".to_owned());
    };
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) {
        return Err("has a name that is empty or holds other characters than letters, digits and ._-".to_owned());
    }
    let scopes: Option<Vec<_>> = scopes
        .split('+')
        .map(|scope| [Scope::Read, Scope::Operate].into_iter().find(|known| known.name() == scope))
        .collect();
    let scopes = scopes.ok_or("has other scopes than read, operate or read+operate")?;
    if secret.len() < SHORTEST || !secret.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "has a secret that is shorter than {SHORTEST} characters or holds others than visible ASCII: \
             `openssl rand -hex 24` makes a good one"
        ));
    }
    Ok(Token { name: name.to_owned(), scopes, secret: secret.to_owned().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Token>, Vec<String>> {
        parse(&text.to_owned().into())
    }

    #[test]
    fn tokens_are_names_scopes_and_secrets() {
        let tokens = parsed("grafana:read:0123456789abcdef,\n  ops:read+operate:fedcba:9876543210=\n").unwrap();
        let told: Vec<_> = tokens.iter().map(|t| (t.name.as_str(), t.scopes.as_slice(), t.secret.expose())).collect();
        let expected = [
            ("grafana", [Scope::Read].as_slice(), "0123456789abcdef"),
            ("ops", [Scope::Read, Scope::Operate].as_slice(), "fedcba:9876543210="),
        ];
        assert_eq!(told, expected);
        assert!(!format!("{tokens:?}").contains("0123456789"), "{tokens:?}");
        assert!(parsed(" ").unwrap().is_empty());
    }

    #[test]
    fn every_bad_token_is_named_and_none_is_shown() {
        let text = "hunter2hunter2hunter2 a:read:hunter2 b:write:hunter2hunter2hunter2 hunter2!:read:hunter2hunter2hunter2 \
                    ok:read:hunter2hunter2hunter2 ok:read:hunter3hunter3hunter3 b::hunter2hunter2hunter2";
        let problems = parsed(text).unwrap_err();
        let numbers: Vec<_> = problems.iter().map(|problem| &problem[..7]).collect();
        assert_eq!(numbers, ["token 1", "token 2", "token 3", "token 4", "token 6", "token 7"]);
        assert!(!problems.concat().contains("hunter"), "{problems:?}");
    }
}
