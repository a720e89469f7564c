//! What there is to be found.

use super::*;

fn core() -> Wish {
    get("/.well-known/core")
}

#[test]
fn live_addresses_are_listed_and_queried() {
    let mut world = World::new();
    let light = put("/sensors/light", "on").uint(option::CONTENT_FORMAT, 0);
    world.ask(&light.query("rt=light-lux").query("if=sensor"));
    world.ask(&put("/sensors/temp", "21.5"));
    let all = world.ask(&core());
    assert_eq!(uint(&all, option::CONTENT_FORMAT), Some(40));
    assert_eq!(
        all.payload,
        "</rd>;rt=\"core.rd\";ct=40,</sensors/light>;rt=\"light-lux\";if=\"sensor\";ct=0;sz=2;obs,\
         </sensors/temp>;sz=4;obs"
    );
    let some = world.ask(&core().query("rt=light*"));
    assert_eq!(some.payload, "</sensors/light>;rt=\"light-lux\";if=\"sensor\";ct=0;sz=2;obs");
    assert!(world.ask(&core().query("rt=nothing")).payload.is_empty());
    assert_eq!(world.ask(&core().uint(option::ACCEPT, 0)).code, Code::NOT_ACCEPTABLE);
    assert_eq!(world.ask(&core().uint(option::ACCEPT, 40)).code, Code::CONTENT);
    assert_eq!(world.ask(&put("/.well-known/core", "x")).code, Code::METHOD_NOT_ALLOWED);
}

#[test]
fn many_links_come_in_blocks_of_one_document() {
    let mut world = World::new();
    for index in 0..600 {
        world.ask(&put(&format!("/a/{index:03}"), "x"));
    }
    let mut found = Vec::new();
    for number in 0.. {
        if number == 1 {
            world.ask(&put("/a/new", "x"));
        }
        let next = Block { number, more: false, exponent: 5 };
        let part = world.ask(&core().block(option::BLOCK2, next));
        found.extend_from_slice(&part.payload);
        if !block_of(&part, option::BLOCK2).unwrap().more {
            break;
        }
    }
    let text = String::from_utf8(found).unwrap();
    assert_eq!(text.split(',').count(), 601, "all pages, as they were when it was asked first");
    assert!(text.ends_with("</a/599>;sz=1;obs"));
}

#[test]
fn looking_for_what_is_not_there_has_an_end() {
    let mut world = World::new();
    for index in 0..40_000 {
        let event = publication(&format!("a/{index:05}"), "x", Q0);
        world.happen(Publication { retain: true, ..event });
    }
    let (asked, none) = (world.listed, world.ask(&core().query("rt=nothing")));
    assert!(none.payload.is_empty());
    assert_eq!(world.listed - asked, 64);
    let last = world.ask(&core().query("href=/a/39999"));
    assert_eq!(last.payload, "</a/39999>;sz=1;obs");
    assert_eq!(world.listed - asked, 65);
}
