//! Which functions a statement calls. A transaction that only reads keeps the tables as they are, but a function may also
//! write files, end sessions or change settings; PostgreSQL demands that such functions say so (`volatile`).

use std::iter::Peekable;
use std::str::CharIndices;

/// Bytes of a name that PostgreSQL looks at.
const NAME_BYTES: usize = 63;

/// The names before an opening bracket, as PostgreSQL reads them. `None`: some name is spelled so that it cannot be told
/// (`U&"..."`, or longer than names are).
pub(crate) fn called(sql: &str) -> Option<Vec<String>> {
    let mut scan = Scan { sql, chars: sql.char_indices().peekable() };
    let (mut found, mut last) = (Vec::new(), None::<String>);
    while let Some((at, letter)) = scan.chars.next() {
        match letter {
            '(' => found.extend(last.take()),
            '\'' => {
                scan.quoted('\'', last.take().as_deref() == Some("e"));
            }
            '"' => {
                let name = scan.quoted('"', false);
                last = Some(name.replace("\"\"", "\""));
            }
            // U&"..." says its letters by numbers
            '&' if last.as_deref() == Some("u") && scan.next_is('"') => return None,
            '-' if scan.next_is('-') => scan.line(),
            '/' if scan.next_is('*') => scan.comment(),
            '$' if last.is_none() || !scan.follows_a_name(at) => scan.dollars(at),
            _ if letter == '_' || letter.is_alphabetic() || !letter.is_ascii() => {
                last = Some(scan.word(at));
            }
            _ if letter.is_whitespace() => {}
            _ => last = None,
        }
        if last.as_ref().is_some_and(|name| name.len() > NAME_BYTES) {
            return None;
        }
    }
    Some(found)
}

struct Scan<'s> {
    sql: &'s str,
    chars: Peekable<CharIndices<'s>>,
}

impl Scan<'_> {
    fn next_is(&mut self, letter: char) -> bool {
        self.chars.peek().is_some_and(|(_, next)| *next == letter)
    }

    fn until(&mut self) -> usize {
        self.chars.peek().map_or(self.sql.len(), |(at, _)| *at)
    }

    fn text(&self, from: usize, to: usize) -> &str {
        self.sql.get(from..to).unwrap_or_default()
    }

    /// Behind the quote that closes what was opened; gives what is between, with doubled quotes as they stand.
    fn quoted(&mut self, quote: char, escapes: bool) -> String {
        let from = self.until();
        while let Some((at, letter)) = self.chars.next() {
            if escapes && letter == '\\' {
                self.chars.next();
            } else if letter == quote {
                if !self.next_is(quote) {
                    return self.text(from, at).to_owned();
                }
                self.chars.next();
            }
        }
        String::new()
    }

    /// A name without quotes, in lower case.
    fn word(&mut self, from: usize) -> String {
        let is_part = |letter: char| letter.is_alphanumeric() || "_$".contains(letter) || !letter.is_ascii();
        while self.chars.next_if(|(_, letter)| is_part(*letter)).is_some() {}
        let to = self.until();
        self.text(from, to).to_ascii_lowercase()
    }

    fn line(&mut self) {
        while self.chars.next_if(|(_, letter)| !matches!(letter, '\n' | '\r')).is_some() {}
    }

    /// One within another counts, too.
    fn comment(&mut self) {
        self.chars.next();
        let mut depth = 1;
        while depth > 0 {
            match self.chars.next() {
                None => return,
                Some((_, '*')) if self.next_is('/') => depth -= 1,
                Some((_, '/')) if self.next_is('*') => depth += 1,
                Some(_) => continue,
            }
            self.chars.next();
        }
    }

    fn follows_a_name(&self, at: usize) -> bool {
        let before = self.text(0, at).chars().next_back();
        before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || !letter.is_ascii())
    }

    /// `$tag$ ... $tag$`; anything else is a parameter.
    fn dollars(&mut self, from: usize) {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || !letter.is_ascii();
        let rest = self.text(from + 1, self.sql.len());
        let Some(end) = rest.find(|letter| !is_part(letter)).filter(|end| {
            rest.get(*end..).is_some_and(|rest| rest.starts_with('$'))
                && !rest.starts_with(|c: char| c.is_ascii_digit())
        }) else {
            return;
        };
        let body = from + end + 2;
        let mark = self.text(from, body).to_owned();
        let close =
            self.text(body, self.sql.len()).find(&mark).map_or(self.sql.len(), |at| body + at + mark.len());
        while self.chars.next_if(|(at, _)| *at < close).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::called;

    #[test]
    fn names_before_brackets_are_found_wherever_they_hide() {
        for (sql, names) in [
            ("select Lo_Export(1, 'x')", "lo_export"),
            ("select pg_catalog . lo_export\n/* a /* b */ c */ -- (\n (1)", "lo_export"),
            (r#"select "lo_export"(1), "A ""b"""(2)"#, "lo_export|A \"b\""),
            ("select 'f(1)', E'\\'g(2)', $$h(3)$$, $q$i($$)$q$, \"j(\" from k", ""),
            ("select 'a''b', e'a''\\\\', f(2)", "f"),
            ("select $1, x$1(2), $1+f($2)", "x$1|f"),
            ("select e'\\'' || f('')", "f"),
            ("select count(*) from (select 1) as a where id in (1)", "count|from|in"),
            ("select 'x' f('y')", "f"),
        ] {
            let found = called(sql).unwrap().join("|");
            let wanted: Vec<&str> = names.split('|').filter(|name| !name.is_empty()).collect();
            for name in &wanted {
                assert!(found.split('|').any(|found| found == *name), "{sql}: {found}");
            }
            for hidden in ["g", "h", "i", "j", "f"] {
                assert!(wanted.contains(&hidden) || !found.split('|').any(|f| f == hidden), "{sql}: {found}");
            }
        }
        assert_eq!(called("select U&\"lo\\005fexport\"(1)"), None);
        assert_eq!(called(&format!("select {}(1)", "a".repeat(64))), None);
    }
}
