//! Parameters of a request: from the URL and from a form, names without regard to case.

use super::{App, Error};
use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{Method, StatusCode, header};
use std::time::Duration;

/// Name (in capitals) and value of every parameter, in the order in which they came: URL first, then the form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Parameters(pub Vec<(String, String)>);

impl Parameters {
    /// The parameters of an `application/x-www-form-urlencoded` text. Bytes that are not UTF-8 are an error: a value with
    /// other characters than were meant would be answered, and nobody would see it.
    pub fn decode(text: &[u8]) -> Result<Parameters, Error> {
        if let Err(error) = percent_encoding::percent_decode(text).decode_utf8() {
            let at = error.valid_up_to();
            return Err(Error::usage(format!("the parameters are not UTF-8 (byte {} of them, decoded): write ø as %C3%B8", at + 1)));
        }
        let pairs = form_urlencoded::parse(text).filter(|(name, _)| !name.is_empty());
        Ok(Parameters(pairs.map(|(name, value)| (name.to_uppercase(), value.into_owned())).collect()))
    }

    /// The value of a parameter; of several, the last one. An empty value is none.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.trim().is_empty())
    }

    /// Every value of a parameter that may come several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The parameter, or the error that says that it is wanted.
    pub fn require(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| Error::usage(format!("the parameter {name} is missing")))
    }

    /// A parameter read by `parse`; the error says what was wanted and quotes what came.
    pub fn parse<T>(&self, name: &str, wanted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Error> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let value = parse(text.trim()).ok_or_else(|| {
            let shown: String = text.chars().take(60).collect();
            Error::usage(format!("{name}={shown} is not {wanted}"))
        })?;
        Ok(Some(value))
    }
}

/// From the URL of a GET, HEAD or DELETE; from URL and form of a POST or PUT. Multipart forms carry uploads and have an extractor of their own.
impl FromRequest<App> for Parameters {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Parameters, Error> {
        let mut parameters = Parameters::decode(request.uri().query().unwrap_or_default().as_bytes())?;
        if !matches!(*request.method(), Method::POST | Method::PUT) {
            return Ok(parameters);
        }
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "" | "application/x-www-form-urlencoded" => {
                let body = read_body(request, app).await?;
                parameters.0.extend(Parameters::decode(&body)?.0);
                Ok(parameters)
            }
            other => Err(Error::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type",
                format!("a form is application/x-www-form-urlencoded, not {}", other.chars().take(80).collect::<String>()),
            )),
        }
    }
}

/// The whole body of a request, within limits of size and time.
pub async fn read_body(request: Request, app: &App) -> Result<axum::body::Bytes, Error> {
    let limit = app.options.form_bytes;
    let too_large = || {
        Error::new(StatusCode::PAYLOAD_TOO_LARGE, "limit-form", format!("the form is larger than {limit} bytes"))
            .hint("upload a table with the parameter UPLOAD, and join with it, instead of a long list")
    };
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let wait = Duration::from_secs(app.options.body_timeout_s);
    match tokio::time::timeout(wait, to_bytes(request.into_body(), limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if std::error::Error::source(&error).is_some_and(|e| e.to_string().contains("length limit")) => Err(too_large()),
        Ok(Err(_)) => Err(Error::usage("the form broke off")),
        Err(_) => Err(Error::new(StatusCode::REQUEST_TIMEOUT, "slow-request", format!("the form did not arrive in {} s", wait.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_know_no_case_and_the_last_value_counts() {
        let parameters = Parameters::decode(b"Query=SELECT+1%2B1&lang=ADQL&LANG=ADQL-2.1&maxrec=&=x&x").expect("UTF-8");
        assert_eq!(parameters.get("QUERY"), Some("SELECT 1+1"));
        assert_eq!(parameters.get("LANG"), Some("ADQL-2.1"));
        assert_eq!(parameters.get("MAXREC"), None);
        assert_eq!(parameters.all("LANG").count(), 2);
        assert_eq!(parameters.0.len(), 5);
    }
}
