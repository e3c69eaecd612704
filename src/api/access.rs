//! Who may ask for what: bearer tokens and their scopes.
//!
//! Not here: how tokens are written in the settings ([`crate::config::tokens`]).

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use crate::config::tokens::{Scope, Token};

/// A request that is not answered, and the reason that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It shows no token.
    NoToken,
    /// It shows one that is not ours.
    UnknownToken,
    /// Its token is not for this.
    Scope(Scope),
    /// It sends more than anybody has to say here.
    TooLarge,
}

impl Refused {
    /// As the metric `http_refused` names it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::UnknownToken => "unknown_token",
            Self::Scope(_) => "scope",
            Self::TooLarge => "too_large",
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (status, challenge, text) = match self {
            Self::NoToken => {
                let text = "a token is needed: Authorization: Bearer SECRET, of http.tokens or http.tokens_file\n";
                (StatusCode::UNAUTHORIZED, Some(String::new()), text.to_owned())
            }
            Self::UnknownToken => {
                let text = "this token is not in http.tokens or http.tokens_file\n";
                (StatusCode::UNAUTHORIZED, Some(", error=\"invalid_token\"".to_owned()), text.to_owned())
            }
            Self::Scope(scope) => {
                let challenge = format!(", error=\"insufficient_scope\", scope=\"{}\"", scope.name());
                let text = format!("this token has not the scope {}\n", scope.name());
                (StatusCode::FORBIDDEN, Some(challenge), text)
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None, "the request is too large\n".to_owned()),
        };
        let mut response = (status, text).into_response();
        let challenge = challenge.map(|more| format!("Bearer realm=\"tickcast\"{more}"));
        if let Some(challenge) = challenge.and_then(|text| text.parse().ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// The tokens; only digests of their secrets are kept.
#[derive(Clone, Debug, Default)]
pub struct Access(Vec<([u8; 32], Token)>);

impl Access {
    /// Asks for one of `tokens`; without any everybody may ask for everything.
    pub fn new(tokens: Vec<Token>) -> Self {
        let kept =
            |token: Token| (digest(token.secret.expose().as_bytes()), Token { secret: String::new().into(), ..token });
        Self(tokens.into_iter().map(kept).collect())
    }

    /// Whether a request with `headers` may do what needs `scope`.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, headers: &HeaderMap, scope: Scope) -> Result<(), Refused> {
        if self.0.is_empty() {
            return Ok(());
        }
        let shown = bearer(headers).ok_or(Refused::NoToken)?;
        // Digests are of one length, and every token is compared: the time tells neither how much of a secret was right nor whose.
        let shown = digest(shown);
        let mut found = None;
        for (known, token) in &self.0 {
            if openssl::memcmp::eq(known, &shown) {
                found = Some(token);
            }
        }
        let token = found.ok_or(Refused::UnknownToken)?;
        if !token.scopes.contains(&scope) {
            tracing::debug!(token = token.name, needs = scope.name(), "refused: the token has not the scope");
            return Err(Refused::Scope(scope));
        }
        Ok(())
    }
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tokens::parse;

    fn check(tokens: &str, authorization: Option<&str>, scope: Scope) -> Result<(), Refused> {
        let access = Access::new(parse(&tokens.to_owned().into()).unwrap());
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        access.check(&headers, scope)
    }

    #[test]
    fn a_token_opens_what_its_scopes_name() {
        let both = "grafana:read:0123456789abcdef ops:operate:fedcba9876543210";
        assert_eq!(check("", None, Scope::Operate), Ok(()), "no tokens: loopback alone");
        let cases = [
            (None, Scope::Read, Err(Refused::NoToken)),
            (Some("Basic 0123456789abcdef"), Scope::Read, Err(Refused::NoToken)),
            (Some("Bearer"), Scope::Read, Err(Refused::NoToken)),
            (Some("Bearer "), Scope::Read, Err(Refused::UnknownToken)),
            (Some("Bearer 0123456789abcde"), Scope::Read, Err(Refused::UnknownToken)),
            (Some("Bearer 0123456789abcdef0"), Scope::Read, Err(Refused::UnknownToken)),
            (Some("Bearer grafana"), Scope::Read, Err(Refused::UnknownToken)),
            (Some("Bearer 0123456789abcdef"), Scope::Read, Ok(())),
            (Some("bearer  0123456789abcdef "), Scope::Read, Ok(())),
            (Some("Bearer 0123456789abcdef"), Scope::Operate, Err(Refused::Scope(Scope::Operate))),
            (Some("Bearer fedcba9876543210"), Scope::Read, Err(Refused::Scope(Scope::Read))),
            (Some("Bearer fedcba9876543210"), Scope::Operate, Ok(())),
        ];
        for (shown, scope, expected) in cases {
            assert_eq!(check(both, shown, scope), expected, "{shown:?} {scope:?}");
        }
    }
}
