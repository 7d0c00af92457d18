//! `multipart/form-data` (RFC 7578, RFC 2046) as clients really send it, taken apart as it arrives: bytes in, [`Event`]s out.
//!
//! What clients do: TOPCAT and STILTS send chunked forms with a quoted boundary full of `<`, `>` and `-`, a blank line before the first
//! delimiter, and text parts with `Content-Type: text/plain; charset=UTF-8`; astroquery's boundary is a row of `=`, unquoted, which RFC 2045
//! forbids; curl and Python name files, some scripts do not. All of that is taken. A delimiter is known by its line: a boundary that stands
//! within data, or that is the beginning of a longer line, is data.
//!
//! [`Parser`] knows no socket and holds no part: only the bytes that might be the beginning of a delimiter wait for the next chunk. What
//! comes out does not depend on how the bytes are cut (a property below). Limits are the caller's, but for those on heads and preamble.

use bytes::{Buf, Bytes, BytesMut};

/// The head of one part at most.
const HEAD_LIMIT: usize = 16 << 10;
/// Bytes before the first delimiter at most.
const PREAMBLE_LIMIT: usize = 64 << 10;
/// RFC 2046 allows 70.
const BOUNDARY_LIMIT: usize = 256;

/// What is wrong with a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the Content-Type of a multipart form must name its boundary, of 1 to {BOUNDARY_LIMIT} characters")]
    Boundary,
    #[error("the form has no part: its boundary never comes in the body")]
    NoPart,
    #[error("the form ends within a part: it was cut off, or its boundary is not the one of its Content-Type")]
    CutOff,
    #[error("the head of a part of the form is larger than {HEAD_LIMIT} bytes")]
    LongHead,
    #[error("a part of the form has no name: each needs a line `Content-Disposition: form-data; name=\"...\"`")]
    NoName,
    #[error("the part `{name}` of the form is encoded as {encoding}: send it as it is (binary)")]
    Encoding { name: String, encoding: String },
}

/// The head of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub name: String,
    pub file_name: Option<String>,
    pub content_type: Option<String>,
}

/// What comes next in a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(Head),
    /// Some bytes of it.
    Data(Bytes),
    /// It is whole.
    Whole,
    /// The form is whole; what follows is ignored.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Preamble,
    Head,
    /// Before the first byte of a part's data.
    Start,
    Data,
    /// After the last part.
    Closing,
    End,
}

/// Takes a form apart.
#[derive(Debug)]
pub struct Parser {
    /// `\n--boundary`; the `\r` before it is looked for backwards, because some clients leave it out.
    delimiter: Vec<u8>,
    waiting: BytesMut,
    place: Place,
    preamble: usize,
    /// Bytes of the waiting head in which its end was looked for.
    seen: usize,
}

/// The boundary of a `Content-Type: multipart/form-data`; `None` if the type is another.
pub fn boundary(content_type: &str) -> Option<Result<String, Error>> {
    let (kind, rest) = content_type.split_once(';').unwrap_or((content_type, ""));
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(rest, "boundary").filter(|b| (1..=BOUNDARY_LIMIT).contains(&b.len()) && !b.contains(['\r', '\n']));
    Some(boundary.ok_or(Error::Boundary))
}

/// The value of a parameter in `a=b; c="d"`, names without regard to case; quoted values may hold anything, `\` makes the next character plain.
fn parameter(text: &str, wanted: &str) -> Option<String> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([';', ' ', '\t']);
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after.trim_start());
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
}

/// A quoted value, or all up to the next `;`; and what follows.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_at(text.find(';').unwrap_or(text.len()));
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[i + 1..]),
            // Browsers and RFC 7578 escape the quote only; a lone backslash is part of a Windows path.
            '\\' if quoted[i + 1..].starts_with(['"', '\\']) => value.extend(chars.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

/// Blanks that may stand between a delimiter and the end of its line.
const BLANKS: usize = 64;

/// What a search for the delimiter says of the waiting bytes.
enum Found {
    /// It stands after so many bytes of data; what follows begins at `after`; it is the last one.
    Delimiter { data: usize, after: usize, last: bool },
    /// So many bytes are data whatever follows.
    Data(usize),
}

impl Parser {
    pub fn new(boundary: &str) -> Parser {
        // A line end before the body makes the first delimiter like all others.
        let waiting = BytesMut::from(&b"\n"[..]);
        Parser { delimiter: format!("\n--{boundary}").into_bytes(), waiting, place: Place::Preamble, preamble: 0, seen: 0 }
    }

    /// The next bytes of the body; ask [`Parser::event`] until it has nothing more, so that no more than this waits.
    pub fn feed(&mut self, bytes: &[u8]) {
        if !matches!(self.place, Place::Closing | Place::End) {
            self.waiting.extend_from_slice(bytes);
        }
    }

    /// The next event; `None` wants more bytes.
    pub fn event(&mut self) -> Result<Option<Event>, Error> {
        if self.place == Place::Preamble {
            match self.find() {
                Found::Delimiter { data, after, last } => {
                    self.skip(data)?;
                    self.pass(after - data, last);
                }
                Found::Data(bytes) => self.skip(bytes)?,
            }
        }
        match self.place {
            Place::Head => self.head(),
            Place::Start | Place::Data => Ok(self.data()),
            Place::Closing => {
                self.place = Place::End;
                Ok(Some(Event::End))
            }
            Place::Preamble | Place::End => Ok(None),
        }
    }

    /// The body is over; was the form whole?
    pub fn finish(&self) -> Result<(), Error> {
        match self.place {
            Place::Closing | Place::End => Ok(()),
            Place::Preamble => Err(Error::NoPart),
            Place::Head if self.waiting.len() > HEAD_LIMIT => Err(Error::LongHead),
            Place::Head | Place::Start | Place::Data => Err(Error::CutOff),
        }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Error> {
        self.preamble += bytes;
        self.waiting.advance(bytes);
        if self.preamble > PREAMBLE_LIMIT { Err(Error::NoPart) } else { Ok(()) }
    }

    /// Goes past a delimiter.
    fn pass(&mut self, after: usize, last: bool) {
        self.waiting.advance(after);
        self.place = if last { Place::Closing } else { Place::Head };
        if last {
            self.waiting.clear();
        }
    }

    fn head(&mut self) -> Result<Option<Event>, Error> {
        let Some((length, mark)) = head_end(&self.waiting, self.seen) else {
            self.seen = self.waiting.len();
            return if self.waiting.len() > HEAD_LIMIT + 4 { Err(Error::LongHead) } else { Ok(None) };
        };
        if length > HEAD_LIMIT {
            return Err(Error::LongHead);
        }
        let text = String::from_utf8_lossy(&self.waiting[..length]).into_owned();
        self.waiting.advance(length + mark);
        self.seen = 0;
        self.place = Place::Start;
        read_head(&text).map(|head| Some(Event::Part(head)))
    }

    fn data(&mut self) -> Option<Event> {
        if self.place == Place::Start {
            // A part without data may have its delimiter where its data would begin.
            let line = &self.delimiter[1..];
            let known = self.waiting.len().min(line.len());
            if self.waiting[..known] == line[..known] {
                if known < line.len() {
                    return None;
                }
                match after_delimiter(&self.waiting[line.len()..]) {
                    After::More => return None,
                    After::Line { bytes, last } => {
                        self.pass(line.len() + bytes, last);
                        return Some(Event::Whole);
                    }
                    After::No => {}
                }
            }
            self.place = Place::Data;
        }
        match self.find() {
            Found::Delimiter { data: 0, after, last } => {
                self.pass(after, last);
                Some(Event::Whole)
            }
            Found::Data(0) => None,
            Found::Delimiter { data, .. } | Found::Data(data) => Some(Event::Data(self.waiting.split_to(data).freeze())),
        }
    }

    /// Looks for the delimiter in what waits.
    fn find(&self) -> Found {
        let mut from = 0;
        while let Some(i) = self.waiting[from..].iter().position(|&byte| byte == b'\n').map(|i| from + i) {
            let data = i - usize::from(i > 0 && self.waiting[i - 1] == b'\r');
            let known = (self.waiting.len() - i).min(self.delimiter.len());
            if self.waiting[i..i + known] == self.delimiter[..known] {
                if known < self.delimiter.len() {
                    return Found::Data(data);
                }
                match after_delimiter(&self.waiting[i + known..]) {
                    After::More => return Found::Data(data),
                    After::Line { bytes, last } => return Found::Delimiter { data, after: i + known + bytes, last },
                    After::No => {}
                }
            }
            from = i + 1;
        }
        Found::Data(self.waiting.len() - usize::from(self.waiting.ends_with(b"\r")))
    }
}

/// What follows a delimiter on its line.
enum After {
    /// More bytes are needed to tell.
    More,
    /// The line ends after so many bytes.
    Line { bytes: usize, last: bool },
    /// Something else: it was data.
    No,
}

fn after_delimiter(rest: &[u8]) -> After {
    match rest {
        [b'-', b'-', ..] => return After::Line { bytes: 2, last: true },
        [] | [b'-'] => return After::More,
        _ => {}
    }
    let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if blanks > BLANKS {
        return After::No;
    }
    match &rest[blanks..] {
        [b'\r', b'\n', ..] => After::Line { bytes: blanks + 2, last: false },
        [b'\n', ..] => After::Line { bytes: blanks + 1, last: false },
        [] | [b'\r'] => After::More,
        _ => After::No,
    }
}

/// Where the head of a part ends, and how long the mark is that ends it: an empty line, which may be the first. It is not
/// among the first `seen` bytes.
fn head_end(bytes: &[u8], seen: usize) -> Option<(usize, usize)> {
    match bytes {
        [b'\r', b'\n', ..] => return Some((0, 2)),
        [b'\n', ..] => return Some((0, 1)),
        _ => {}
    }
    let from = seen.saturating_sub(3);
    let find = |mark: &[u8]| bytes[from..].windows(mark.len()).position(|window| window == mark).map(|at| (from + at, mark.len()));
    [find(b"\r\n\r\n"), find(b"\n\n")].into_iter().flatten().min()
}

fn read_head(text: &str) -> Result<Head, Error> {
    let mut head = Head { name: String::new(), file_name: None, content_type: None };
    let mut encoding = None;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.trim().to_ascii_lowercase().as_str() {
            "content-disposition" => {
                let parameters = value.split_once(';').map_or("", |(_, rest)| rest);
                head.name = parameter(parameters, "name").unwrap_or_default();
                head.file_name =
                    parameter(parameters, "filename").or_else(|| parameter(parameters, "filename*")).filter(|name| !name.is_empty());
            }
            "content-type" => head.content_type = Some(value.trim().to_owned()),
            "content-transfer-encoding" => encoding = Some(value.trim().to_ascii_lowercase()),
            _ => {}
        }
    }
    if head.name.is_empty() {
        return Err(Error::NoName);
    }
    match encoding.as_deref() {
        None | Some("" | "7bit" | "8bit" | "binary") => Ok(head),
        Some(_) => Err(Error::Encoding { name: head.name, encoding: encoding.unwrap_or_default() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A form as parts with their whole data, fed in pieces of the given sizes.
    fn read(boundary: &str, body: &[u8], pieces: &[usize]) -> Result<Vec<(Head, Vec<u8>)>, Error> {
        let mut parser = Parser::new(boundary);
        let mut parts: Vec<(Head, Vec<u8>)> = Vec::new();
        let (mut rest, mut turn) = (body, 0);
        loop {
            while let Some(event) = parser.event()? {
                match event {
                    Event::Part(head) => parts.push((head, Vec::new())),
                    Event::Data(data) => parts.last_mut().expect("a part").1.extend(data),
                    Event::Whole | Event::End => {}
                }
            }
            if rest.is_empty() {
                parser.finish()?;
                return Ok(parts);
            }
            let size = pieces.get(turn % pieces.len().max(1)).copied().unwrap_or(rest.len()).clamp(1, rest.len());
            turn += 1;
            parser.feed(&rest[..size]);
            rest = &rest[size..];
        }
    }

    fn head(name: &str, file_name: Option<&str>, content_type: Option<&str>) -> Head {
        Head { name: name.into(), file_name: file_name.map(Into::into), content_type: content_type.map(Into::into) }
    }

    #[test]
    fn topcats_form_is_read() {
        let kind = r#"multipart/form-data; boundary="<<<--------------MULTIPART-BOUNDARY------->>>""#;
        let boundary = boundary(kind).expect("multipart").expect("a boundary");
        assert_eq!(boundary, "<<<--------------MULTIPART-BOUNDARY------->>>");
        let body = "\r\n--<<<--------------MULTIPART-BOUNDARY------->>>\r\n\
            Content-Disposition: form-data; name=\"REQUEST\"\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\ndoQuery\r\n\
            --<<<--------------MULTIPART-BOUNDARY------->>>\r\n\
            Content-Disposition: form-data; name=\"t1\"; filename=\"t1\"\r\nContent-Type: application/x-votable+xml\r\n\r\n\
            <VOTABLE/>\r\n--<<<--------------MULTIPART-BOUNDARY------->>>--\r\n";
        let parts = read(&boundary, body.as_bytes(), &[]).expect("whole");
        assert_eq!(
            parts,
            [
                (head("REQUEST", None, Some("text/plain; charset=UTF-8")), b"doQuery".to_vec()),
                (head("t1", Some("t1"), Some("application/x-votable+xml")), b"<VOTABLE/>".to_vec()),
            ]
        );
    }

    #[test]
    fn astroquerys_form_is_read() {
        let boundary = boundary("multipart/form-data; boundary===============1595804285614==").expect("multipart").expect("a boundary");
        assert_eq!(boundary, "==============1595804285614==");
        let body = "--==============1595804285614==\r\nContent-Disposition: form-data; name=\"LANG\"\r\n\r\nADQL\r\n\
            --==============1595804285614==--\r\n\r\n";
        assert_eq!(read(&boundary, body.as_bytes(), &[1]).expect("whole"), [(head("LANG", None, None), b"ADQL".to_vec())]);
    }

    #[test]
    fn a_boundary_within_a_line_is_data() {
        let body = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx--b\r\n--bb\r\n\r\n--b x\r\n--b \t\r\n\
            Content-Disposition: form-data; name=b\r\n\r\n--b--";
        for pieces in [&[1][..], &[2], &[7, 1], &[]] {
            let parts = read("b", body, pieces).expect("whole");
            assert_eq!(parts[0].1, b"x--b\r\n--bb\r\n\r\n--b x");
            assert_eq!((parts.len(), parts[1].0.name.as_str(), parts[1].1.len()), (2, "b", 0));
        }
    }

    #[test]
    fn faults_say_what_is_missing() {
        assert_eq!(boundary("application/x-www-form-urlencoded"), None);
        assert_eq!(boundary("multipart/form-data"), Some(Err(Error::Boundary)));
        assert_eq!(boundary("multipart/form-data; boundary=\"\""), Some(Err(Error::Boundary)));
        assert_eq!(read("b", b"nothing here", &[]), Err(Error::NoPart));
        assert_eq!(read("b", &[b'\n'; PREAMBLE_LIMIT + 10], &[]), Err(Error::NoPart));
        assert_eq!(read("b", b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nhalf", &[]), Err(Error::CutOff));
        assert_eq!(read("b", b"--b\r\n\r\nx\r\n--b--", &[]), Err(Error::NoName));
        assert_eq!(read("b", format!("--b\r\n{}", "x".repeat(HEAD_LIMIT + 1)).as_bytes(), &[]), Err(Error::LongHead));
        let encoded = b"--b\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: BASE64\r\n\r\n";
        assert_eq!(read("b", encoded, &[]), Err(Error::Encoding { name: "a".into(), encoding: "base64".into() }));
    }

    #[test]
    fn names_may_be_quoted_in_every_way() {
        for (line, name, file) in [
            (r#"form-data; name="a b"; filename="x\"y.vot""#, "a b", Some("x\"y.vot")),
            (r#"form-data;name=a;filename=C:\data\x.vot"#, "a", Some("C:\\data\\x.vot")),
            (r#"form-data; filename="../../etc/passwd"; name="a;b""#, "a;b", Some("../../etc/passwd")),
            (r#"form-data; name="ü""#, "ü", None),
        ] {
            let read = read_head(&format!("Content-Disposition: {line}")).expect("a name");
            assert_eq!((read.name.as_str(), read.file_name.as_deref()), (name, file));
        }
    }

    proptest! {
        #[test]
        fn parts_come_back_whole_however_the_bytes_are_cut(
            parts in proptest::collection::vec(("[a-z]{1,5}", proptest::collection::vec(proptest::sample::select(b"\r\n-bx ".to_vec()), 0..40)), 1..5),
            pieces in proptest::collection::vec(1_usize..9, 1..6),
            newline in proptest::sample::select(vec!["\r\n", "\n"]),
        ) {
            let mut body = Vec::new();
            for (name, data) in &parts {
                let stands_within = |mark: &[u8]| data.windows(mark.len()).any(|window| window == mark);
                prop_assume!(!stands_within(b"--bb") && !data.ends_with(b"\r") && !data.ends_with(b"\n"));
                body.extend(format!("--bb{newline}Content-Disposition: form-data; name=\"{name}\"{newline}{newline}").as_bytes());
                body.extend(data);
                body.extend(newline.as_bytes());
            }
            body.extend(b"--bb--");
            let whole = read("bb", &body, &[]).expect("a good form");
            let expected: Vec<(Head, Vec<u8>)> = parts.iter().map(|(name, data)| (head(name, None, None), data.clone())).collect();
            prop_assert_eq!(&whole, &expected);
            prop_assert_eq!(&read("bb", &body, &pieces).expect("the same"), &expected);
        }

        #[test]
        fn rubbish_is_refused_the_same_way_however_it_is_cut(
            body in proptest::collection::vec(proptest::sample::select(b"\r\n-b:;= name\"".to_vec()), 0..200),
            pieces in proptest::collection::vec(1_usize..9, 1..6),
        ) {
            prop_assert_eq!(read("b", &body, &pieces), read("b", &body, &[]));
        }
    }
}
