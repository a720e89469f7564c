//! The paths that a Rust source names, `use` trees written out: enough of the language for the test of the floors.

use std::iter::Peekable;
use std::str::Chars;

/// Every path in a source, such as `std::net::TcpStream`. Comments, strings, modules of tests and single names outside
/// `use` are left out.
pub(crate) fn paths(source: &str) -> Vec<String> {
    let tokens = without_tests(tokens(source));
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let begins = matches!(&tokens[at], Token::Name(_)) || tokens[at] == Token::Sign(':');
        // A name alone counts only where it must be a crate or a module.
        let after_use =
            at > 0 && matches!(&tokens[at - 1], Token::Name(name) if name == "use" || name == "crate");
        if begins {
            at = tree(&tokens, at, &mut Vec::new(), after_use, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

#[derive(Debug, PartialEq)]
enum Token {
    Name(String),
    /// `::` is the sign `:`, a single colon is left out.
    Sign(char),
}

/// Reads one path or `use` tree from `at` on, and gives the place after it.
fn tree(
    tokens: &[Token],
    mut at: usize,
    prefix: &mut Vec<String>,
    alone: bool,
    found: &mut Vec<String>,
) -> usize {
    let depth = prefix.len();
    let mut group = false;
    if tokens.get(at) == Some(&Token::Sign(':')) {
        at += 1;
    }
    loop {
        match tokens.get(at) {
            Some(Token::Name(name)) => {
                prefix.push(name.clone());
                at += 1;
                if tokens.get(at) != Some(&Token::Sign(':')) {
                    break;
                }
                at += 1;
            }
            Some(Token::Sign('{')) if prefix.len() > depth || alone => {
                group = true;
                at = branches(tokens, at + 1, prefix, found);
                break;
            }
            _ => break,
        }
    }
    if !group && (prefix.len() > depth.max(1) || alone && prefix.len() > depth) {
        let mut path = prefix.clone();
        path.retain(|part| part != "self" || prefix.len() == 1);
        found.push(path.join("::"));
    }
    prefix.truncate(depth);
    at
}

/// Reads the inside of a `use` tree's braces.
fn branches(tokens: &[Token], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<String>) -> usize {
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign('}') => return at + 1,
            Token::Name(name) if name == "as" => at += 2,
            Token::Name(_) => at = tree(tokens, at, prefix, true, found),
            Token::Sign(_) => at += 1,
        }
    }
    at
}

/// Leaves out `#[cfg(test)] mod NAME { ... }`.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    let is_name =
        |token: Option<&Token>, wanted: &str| matches!(token, Some(Token::Name(name)) if name == wanted);
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let marked = tokens[at] == Token::Sign('#')
            && is_name(tokens.get(at + 2), "cfg")
            && is_name(tokens.get(at + 4), "test")
            && is_name(tokens.get(at + 7), "mod")
            && tokens.get(at + 9) == Some(&Token::Sign('{'));
        if marked {
            at = closing(&tokens, at + 9);
        } else {
            kept.push(at);
        }
        at += 1;
    }
    let mut kept = kept.into_iter().peekable();
    tokens
        .into_iter()
        .enumerate()
        .filter(|(at, _)| kept.next_if_eq(at).is_some())
        .map(|(_, token)| token)
        .collect()
}

/// The place of the brace that closes the one at `open`.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('{') => depth += 1,
            Token::Sign('}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

fn tokens(source: &str) -> Vec<Token> {
    let (mut found, mut rest) = (Vec::new(), source.chars().peekable());
    while let Some(char) = rest.next() {
        match char {
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|char| *char != '\n').is_some() {},
            '/' if rest.peek() == Some(&'*') => block_comment(&mut rest),
            '"' => string(&mut rest),
            '\'' => quote(&mut rest),
            ':' if rest.next_if_eq(&':').is_some() => found.push(Token::Sign(':')),
            ':' => {}
            char if char.is_alphabetic() || char == '_' => name(char, &mut rest, &mut found),
            char if char.is_whitespace() => {}
            char => found.push(Token::Sign(char)),
        }
    }
    found
}

fn name(first: char, rest: &mut Peekable<Chars<'_>>, found: &mut Vec<Token>) {
    let mut name = String::from(first);
    while let Some(char) = rest.next_if(|char| char.is_alphanumeric() || *char == '_') {
        name.push(char);
    }
    let raw = matches!(name.as_str(), "r" | "br" | "cr");
    match rest.peek() {
        Some('#') if raw => raw_string_or_name(rest, found),
        Some('"') if raw => raw_string(rest, 0),
        _ => found.push(Token::Name(name)),
    }
}

/// After `r`: `r#"..."#` is a string, `r#name` is a name.
fn raw_string_or_name(rest: &mut Peekable<Chars<'_>>, found: &mut Vec<Token>) {
    let mut hashes = 0;
    while rest.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    if rest.peek() == Some(&'"') {
        raw_string(rest, hashes);
    } else if let Some(first) = rest.next() {
        name(first, rest, found);
    }
}

fn raw_string(rest: &mut Peekable<Chars<'_>>, hashes: usize) {
    rest.next();
    while let Some(char) = rest.next() {
        if char == '"' && (0..hashes).all(|_| rest.next_if_eq(&'#').is_some()) {
            return;
        }
    }
}

fn string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(char) = rest.next() {
        match char {
            '\\' => drop(rest.next()),
            '"' => return,
            _ => {}
        }
    }
}

/// A character or a lifetime: after `'x` only the former has another quote.
fn quote(rest: &mut Peekable<Chars<'_>>) {
    match rest.next() {
        Some('\\') => {
            rest.next();
            while rest.next_if(|char| *char != '\'').is_some() {}
            rest.next();
        }
        Some(_) => drop(rest.next_if_eq(&'\'')),
        None => {}
    }
}

fn block_comment(rest: &mut Peekable<Chars<'_>>) {
    let mut depth = 0;
    while let Some(char) = rest.next() {
        match char {
            '*' if depth > 0 && rest.next_if_eq(&'/').is_some() => depth -= 1,
            '*' if depth == 0 => depth = 1,
            '/' if rest.next_if_eq(&'*').is_some() => depth += 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

#[test]
fn use_trees_are_written_out() {
    let source = "use a::{self, b::{c, d as e}, f::*}; use g; fn x() { let h = i::j::<k::L>(); ::m::n(); }";
    assert_eq!(paths(source), ["a", "a::b::c", "a::b::d", "a::f", "g", "i::j", "k::L", "m::n"]);
}

#[test]
fn modules_of_tests_are_left_out_and_what_follows_them_is_not() {
    let source = "use a::b; #[cfg(test)] mod tests { use c::d; fn x() { if y { e::f() } } } use g::h;";
    assert_eq!(paths(source), ["a::b", "g::h"]);
}

#[test]
fn comments_strings_and_lifetimes_hide_nothing_and_name_nothing() {
    let source = r####"/* a::b /* c::d */ e::f */ fn x<'a>(s: &'a g::H) -> char { r#"i::j"#; "k\"l::m"; '"'; n::O }"####;
    assert_eq!(paths(source), ["g::H", "n::O"]);
}
