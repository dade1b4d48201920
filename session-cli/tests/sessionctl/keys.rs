//! `keygen` and `rotate`.

use std::fs;

use session_core::{KeyRing, Secret};

use crate::operator::{Folder, OTHER, Operator, SECRET, ring};

#[test]
fn a_new_secret_is_good_and_alone_on_stdout() {
    let operator = Operator::new();
    let made: Vec<_> = (0..2).map(|_| operator.run(["keygen"])).collect();
    for ran in &made {
        assert_eq!(ran.code, 0);
        assert!(Secret::parse(&ran.stdout).is_ok() && ran.stdout.trim_end().lines().count() == 1);
        assert!(ran.stderr.contains("SESSION_SECRET") && !ran.stderr.contains(ran.stdout.trim_end()));
    }
    assert_ne!(made[0].stdout, made[1].stdout);
    let (code, json) = operator.json(["keygen"]);
    assert_eq!((code, &json["variable"]), (0, &"SESSION_SECRET".into()));
    assert!(KeyRing::parse(json["secret"].as_str().unwrap()).is_ok());
}

#[test]
fn a_rotation_is_explained_with_the_names_of_the_secrets_that_are_there() {
    let without = Operator::default().run(["rotate"]);
    assert_eq!(without.code, 0);
    assert!(without.stdout.contains("SESSION_SECRET=OLD,NEW") && without.stdout.contains("No secret is set here"));

    let both = format!("{SECRET},{OTHER}");
    let operator = Operator::default().secret("SESSION_SECRET", &both);
    let (code, json) = operator.json(["rotate"]);
    let ids: Vec<_> = ring(&both).key_ids().iter().map(ToString::to_string).collect();
    assert_eq!(
        (code, &json["keys"][0]["key"], &json["keys"][1]["key"]),
        (0, &ids[0].as_str().into(), &ids[1].as_str().into())
    );
    assert_eq!((&json["keys"][1]["current"], json["steps"].as_array().unwrap().len()), (&false.into(), 3));
    let people = operator.run(["rotate", "--longest-life", "43200"]).stdout;
    assert!(ids.iter().all(|id| people.contains(id)) && people.contains("12 h after step 2"), "{people}");
}

#[test]
fn secrets_come_from_variables_files_and_stdin() {
    let (folder, id) = (Folder::new(), ring(SECRET).key_ids()[0].to_string());
    let file = folder.file("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let nobody = Operator::default();
    assert_eq!(nobody.json(["rotate", "--secret-file", &file]).1["keys"][0]["key"], id.as_str());
    assert_eq!(nobody.json_with(["rotate", "--secret-file", "-"], SECRET).1["keys"][0]["key"], id.as_str());
    let somebody = Operator::default().secret("SHOP_SECRET", SECRET);
    assert_eq!(somebody.json(["rotate", "--secret-env", "SHOP_SECRET"]).1["keys"][0]["key"], id.as_str());
}

#[test]
fn a_secret_that_is_none_is_refused_with_the_way_to_make_one_and_is_not_shown() {
    for bad in ["correct horse battery staple", "0011223344556677", ""] {
        let operator =
            if bad.is_empty() { Operator::default() } else { Operator::default().secret("SESSION_SECRET", bad) };
        let ran = operator.run_with(["inspect"], "x");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
        assert!(ran.stderr.contains("SESSION_SECRET"), "{}", ran.stderr);
    }
    let ran = Operator::default().run(["rotate", "--secret-file", "/nonexistent/secret"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("can't be read from the file /nonexistent/secret"), "{}", ran.stderr);
}
