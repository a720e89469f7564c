use super::*;
use std::io::Cursor;
use windrose_identity::Counts;

fn import(desk: &Desk, format: ImportFormat, text: &str, existing: Existing, skip_bad: bool) -> ImportReport {
    let options = ImportOptions { existing, skip_bad, by: "test".to_owned() };
    desk.database.import(format, &mut Cursor::new(text), &options, &mut |_| {}).unwrap()
}

fn csv(desk: &Desk, text: &str) -> ImportReport {
    import(desk, ImportFormat::Csv, text, Existing::Fail, false)
}

fn counts(desk: &Desk) -> Counts {
    desk.wait(desk.database.counts()).unwrap()
}

pub(super) fn an_import_takes_all_or_nothing(desk: &Desk) {
    desk.add("old", None, vec![shown(Lookup::CommonName("taken".into()))]);
    let before = counts(desk);
    // What is wrong with a line by itself is found before anything is written...
    let text = "id,owner,certificate_common_name,certificate,not_after\n\
                a,o,a,,\nb/c,o,,,\nd,o,d,xyz,\n,o,,,\ne,o,e,,yesterday\nf,o\ng,o,,,2026-01-01\n";
    let report = csv(desk, text);
    let lines: Vec<u64> = report.told.iter().map(|(line, _)| *line).collect();
    assert_eq!((report.done, report.bad, lines), (false, 6, vec![3, 4, 5, 6, 7, 8]), "{:?}", report.told);
    assert!(report.told[0].1.contains("`b/c` cannot be the name of a device"), "{:?}", report.told);
    assert!(report.told[1].1.contains("SHA-256"), "{:?}", report.told);
    assert!(report.told[4].1.contains("it has 2 values for 5 columns"), "{:?}", report.told);
    // ... and what is wrong because of what is there, afterwards.
    let text = "id,certificate_common_name\na,a\nb,taken\nold,x\na,y\nc,a\n";
    let report = csv(desk, text);
    let told: Vec<_> = report.told.iter().map(|(line, why)| (*line, why.as_str())).collect();
    let expected = [
        (3, "one of its credentials is `old`'s already"),
        (4, "there is another device `old`"),
        (5, "the device `a` is there twice"),
        (6, "one of its credentials is another line's already"),
    ];
    assert_eq!((report.done, told), (false, expected.to_vec()));
    assert_eq!(counts(desk), before);
    for (text, why) in [
        ("id,colour\n", "there is no column `colour`"),
        ("owner\n", "a column `id` is missing"),
        ("id,id\n", "the column `id` is there twice"),
    ] {
        let options = ImportOptions::default();
        let error = desk.database.import(ImportFormat::Csv, &mut Cursor::new(text), &options, &mut |_| {});
        assert!(error.unwrap_err().to_string().contains(why), "{text}");
    }
    let report = csv(desk, "\u{feff}ID,Owner,groups\r\n\"quoted, id\",o,a;b\r\n");
    assert_eq!((report.done, report.added), (true, 1));
    assert_eq!(desk.record(device("quoted, id")).unwrap().groups.len(), 2);
}

pub(super) fn bad_lines_are_left_out_when_told_so(desk: &Desk) {
    desk.add("old", None, vec![]);
    let text = "{\"id\":\"a\"}\nno JSON\n\n{\"id\":\"old\"}\n{\"id\":\"b\",\"owner\":\"o\",\"what\":1}\n[1]\n{\"id\":\"c\",\"groups\":\"x\"}\n{\"id\":\"d\"}";
    let report = import(desk, ImportFormat::JsonLines, text, Existing::Fail, true);
    let lines: Vec<u64> = report.told.iter().map(|(line, _)| *line).collect();
    assert_eq!((report.done, report.added, report.bad, lines), (true, 2, 5, vec![2, 4, 5, 6, 7]));
    assert!(desk.record(device("a")).is_some() && desk.record(device("d")).is_some());
    assert!(desk.record(device("b")).is_none() && desk.record(device("c")).is_none());
}

pub(super) fn those_that_are_there_are_updated_or_left(desk: &Desk) {
    let text = "id,owner,groups,certificate_common_name\na,o,g,a\nb,o,,b\n";
    assert!(csv(desk, text).done);
    let report = import(desk, ImportFormat::Csv, "id,owner\na,p\nc,p\n", Existing::Skip, false);
    assert_eq!((report.done, report.added, report.skipped), (true, 1, 1));
    assert_eq!(desk.record(owner("o")).unwrap().owned.len(), 2);
    let since = desk.newest();
    let text = "id,owner,certificate_common_name\na,p,a2\nb,,taken\nc,,taken\n";
    let report = import(desk, ImportFormat::Csv, text, Existing::Update, true);
    assert_eq!((report.updated, report.bad), (2, 1), "{:?}", report.told);
    let record = desk.record(device("a")).unwrap();
    assert_eq!(record.principal, Principal::Device { id: "a".into(), owner: Some("p".into()) });
    assert_eq!(record.credentials.len(), 2, "another one beside the old one");
    assert_eq!(record.groups.len(), 1, "what is not said stays");
    assert!(desk.changes(since).contains(&(device("a"), true)), "it is another owner's now");
    let history = desk.wait(desk.database.history("a", None, 9)).unwrap();
    let acts: Vec<&str> = history.iter().map(|one| one.act).collect();
    assert_eq!(acts, ["transferred", "imported"]);
    let again = "id,status\na,revoked\n";
    assert_eq!(import(desk, ImportFormat::Csv, again, Existing::Update, false).updated, 1);
    assert_eq!(desk.record(device("a")).unwrap().status, Status::Revoked);
}

pub(super) fn an_export_is_an_import(desk: &Desk) {
    let hash = cheap("geheim");
    let text = format!(
        "{{\"kind\":\"owner\",\"id\":\"o\",\"groups\":[\"home\"],\"credentials\":[{{\"api_key\":\"k\"}}]}}\n\
         {{\"kind\":\"service\",\"id\":\"s\"}}\n\
         {{\"id\":\"a\",\"owner\":\"o\",\"groups\":[\"x\",\"y;z\"],\"attributes\":{{\"n\":1}},\"status\":\"revoked\",\
         \"credentials\":[{{\"username\":\"u\",\"password_hash\":\"{hash}\",\"not_after\":\"2030-01-01T00:00:00Z\"}},\
         {{\"psk_identity\":\"p\",\"psk\":\"000102030405060708\"}},{{\"certificate_subject\":\"cn=a, o=b\"}}]}}\n\
         {{\"id\":\"b\",\"credentials\":[{{\"password\":\"geheim\"}}]}}\n"
    );
    let report = import(desk, ImportFormat::JsonLines, &text, Existing::Fail, false);
    assert_eq!((report.done, report.added), (true, 4), "{:?}", report.told);
    let record = desk.find(Lookup::Username("b".into())).unwrap();
    assert!(matches!(&record.credentials[0].secret, CredentialSecret::PasswordHash(hash)
        if hash.reveal().starts_with(b"$argon2id$")));
    let export = |desk: &Desk, format, secrets| {
        let mut out = Vec::new();
        let report = desk.database.export(format, &mut out, secrets).unwrap();
        (String::from_utf8(out).unwrap(), report)
    };
    let (all, report) = export(desk, ImportFormat::JsonLines, true);
    assert_eq!((report.lines, report.left_out), (4, 0));
    let folder = Folder::new();
    let other = Desk::open(RegistryLocation::Sqlite(folder.0.join("other.db")));
    assert!(import(&other, ImportFormat::JsonLines, &all, Existing::Fail, false).done);
    assert_eq!(export(&other, ImportFormat::JsonLines, true).0, all, "the same again");
    let (public, report) = export(desk, ImportFormat::JsonLines, false);
    assert_eq!(report.left_out, 3);
    assert!(!public.contains("argon2") && !public.contains("0001020304"), "{public}");
    let (lines, report) = export(desk, ImportFormat::Csv, true);
    assert_eq!((report.lines, report.left_out), (2, 2), "{lines}");
    let third = Desk::open(RegistryLocation::Sqlite(folder.0.join("third.db")));
    assert_eq!(csv(&third, &lines).added, 2);
    assert_eq!(third.record(device("a")).unwrap().groups, desk.record(device("a")).unwrap().groups);
    assert_eq!(third.record(device("a")).unwrap().status, Status::Revoked);
}

pub(super) fn batches_meet_what_batches_before_them_made(desk: &Desk) {
    let mut text = "id,owner,certificate_common_name\n".to_owned();
    for number in 0..2_500 {
        text.push_str(&format!("d{number},o{},c{number}\n", number % 7));
    }
    let mut seen = Vec::new();
    let options = ImportOptions::default();
    let mut lines = Cursor::new(&text);
    let report =
        desk.database.import(ImportFormat::Csv, &mut lines, &options, &mut |progress| seen.push(progress));
    assert_eq!((report.unwrap().added, counts(desk).owners), (2_500, 7));
    assert_eq!(seen.last(), Some(&ImportProgress::Written { lines: 2_500, of: 2_500 }));
    assert_eq!(desk.record(owner("o0")).unwrap().owned.len(), 358);
    assert_eq!(desk.find(Lookup::CommonName("c2499".into())).unwrap().subject(), Some(device("d2499")));
    // The same credentials again, by other names: every line is a bad one, and a thousand are told of.
    let again = text.replace("\nd", "\ne");
    let report = csv(desk, &again);
    assert_eq!((report.done, report.bad, report.told.len()), (false, 2_500, 1_000));
    assert!(desk.record(device("e0")).is_none());
}
