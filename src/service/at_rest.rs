//! Waiting for a consumer group to have no members. A static member outlives its process until its session times out, and while
//! it lasts nobody else may commit for the group.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::config::Config;
use crate::io::kafka::client;

const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);
/// What a broker may take longer than the session to see that a member is gone.
const MARGIN: Duration = Duration::from_secs(5);

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    id: String,
    /// Client and host, for people.
    place: String,
}

/// What to do about the members there are.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// There are none.
    AtRest,
    /// They may be dead.
    Wait,
    /// These are alive.
    Alive(String),
}

/// Whether members are alive that were seen `first` and are there `now`, `waited` later: the dead are gone after `session`, and
/// they do not join.
fn look(first: &[Member], now: &[Member], waited: Duration, session: Duration) -> Look {
    let joined: Vec<Member> = now.iter().filter(|member| !first.contains(member)).cloned().collect();
    match (now, joined.as_slice()) {
        ([], _) => Look::AtRest,
        (_, [_, ..]) => Look::Alive(places(&joined)),
        _ if waited > session => Look::Alive(places(now)),
        _ => Look::Wait,
    }
}

fn places(members: &[Member]) -> String {
    let places: Vec<&str> = members.iter().map(|member| member.place.as_str()).collect();
    places.join(", ")
}

/// Returns when `group` has no members. `tell` gets a line when that has to be waited for.
///
/// # Errors
/// When a process is alive in it, or Kafka does not answer.
pub fn wait(config: &Config, group: &str, tell: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    let consumer: BaseConsumer = client::consumer(&config.kafka, group).create()?;
    let session = config.kafka.session_timeout.get() + MARGIN;
    let first = members(&consumer, group)?;
    let begin = Instant::now();
    let mut now = first.clone();
    loop {
        match look(&first, &now, begin.elapsed(), session) {
            Look::AtRest => return Ok(()),
            Look::Alive(places) => anyhow::bail!(
                "group {group} has a live member: {places}; stop every process of the role first (one that a supervisor starts \
                 again and again counts). Nothing was changed"
            ),
            Look::Wait if now == first && begin.elapsed() < PAUSE => tell(&format!(
                "group {group} still has {} as members: waiting up to {}s (kafka.session_timeout and a little), for those whose \
                 processes are gone to time out",
                places(&first),
                session.as_secs()
            )),
            Look::Wait => {}
        }
        std::thread::sleep(PAUSE);
        now = members(&consumer, group)?;
    }
}

fn members(consumer: &BaseConsumer, group: &str) -> anyhow::Result<Vec<Member>> {
    let list = consumer
        .fetch_group_list(Some(group), TIMEOUT)
        .with_context(|| format!("asking who is a member of group {group}"))?;
    let found = list.groups().iter().filter(|found| found.name() == group).flat_map(|found| found.members());
    let member = |member: &rdkafka::groups::GroupMemberInfo| Member {
        id: member.id().to_owned(),
        place: format!("{} at {}", member.client_id(), member.client_host().trim_start_matches('/')),
    };
    Ok(found.map(member).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Duration = Duration::from_secs(10);

    #[test]
    fn the_dead_are_waited_for_and_the_living_are_named() {
        let member = |id: &str| Member { id: id.to_owned(), place: format!("tickcast-{id} at 10.0.0.1") };
        let (a, b) = ([member("a")], [member("a"), member("b")]);
        let second = Duration::from_secs(1);
        assert_eq!(look(&a, &[], second, SESSION), Look::AtRest);
        assert_eq!(look(&a, &a, second, SESSION), Look::Wait);
        assert_eq!(look(&b, &a, second, SESSION), Look::Wait, "one is gone already");
        assert_eq!(look(&a, &a, 11 * second, SESSION), Look::Alive("tickcast-a at 10.0.0.1".to_owned()));
        assert_eq!(
            look(&a, &b, second, SESSION),
            Look::Alive("tickcast-b at 10.0.0.1".to_owned()),
            "the dead do not join"
        );
        assert_eq!(look(&[], &[], Duration::ZERO, SESSION), Look::AtRest);
    }
}
