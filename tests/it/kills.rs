//! The exactly-once promise under `kill -9`, rebalances, fencing and lost offsets: whatever is done to the processes, the
//! topics hold what one undisturbed run writes, record by record and in the same order.

mod crashes;
mod harness;
mod judged;
mod jump;
mod order;
mod recorded;
mod referee;
mod refusals;
mod restarts;
mod rows;
mod stream;
mod stuck;
mod waits;
mod world;
