/* Publishing, sleeping and waking, in both directions of one ring, with store buffers, with peer death, and with a
 * peer that moves our sleeper to another futex before it dies.
 *
 * Producer and Consumer follow producer.{hpp,cpp}, consumer.{hpp,cpp} and waiting.cpp statement by statement; the
 * tags in brackets are those of the code. Left out is polling (it only makes sleeps rarer).
 *
 * Memory: every store to a region goes into a first-in-first-out buffer of its process and reaches memory at any
 * later moment. A full barrier waits until the buffer is empty; a membarrier, until both are. The futex calls give
 * no barrier, and compare with memory. A killed process makes no further step, but what it has stored arrives,
 * and does so before its death can be noticed.
 *
 * Positions count units: a header word is one unit, a record is its header word, so a ring of CAPACITY units
 * holds CAPACITY - 1 records and the zero word behind them.
 *
 * Properties
 *   no lost wake-up       every process reaches its end; a sleeper for ever is an invalid end state
 *   exactly once, in order   assertions where the consumer reads, and at its end
 *   nothing lost by death    what was published before the death is read before the wait gives up
 *   tail never ahead      a tail beyond a zero header would be refused as broken
 *   one wake-up a sleep   no wait position is woken for twice
 *
 * ASYMMETRIC: each publisher goes from full barriers to light ones at any publication, and back at each wake-up;
 * a sleeper that finds a light one sleeps for a bounded time, then issues a membarrier. Else full barriers at both.
 * Mutants, each of which must fail: see README.md.
 */
#ifndef RECORDS
#define RECORDS 4
#endif
#ifndef CAPACITY
#define CAPACITY 3
#endif
#define OUT_OF_REACH 255

/* Words in shared memory, by writer. */
#define HEADER(position) ((position) % CAPACITY)
#define TAIL CAPACITY            /* producer's region */
#define WAIT_P (CAPACITY + 1)    /* producer's region */
#define RELEASED (CAPACITY + 2)  /* consumer's region */
#define WAIT_C (CAPACITY + 3)    /* consumer's region */
#define BARRIER_P (CAPACITY + 4) /* producer's region: 0 full, 1 light */
#define BARRIER_C (CAPACITY + 5) /* consumer's region */

byte memory[CAPACITY + 6];
chan producer_buffer = [7] of { byte, byte };
chan consumer_buffer = [5] of { byte, byte };

/* Each process's sleep, and its WaitGate, which is private to it. A sleeper that was moved isn't found where the
 * peer's wake-ups look for it. */
bool asleep_p, asleep_c;
bool moved_p, moved_c;
bool reason_p, reason_c;
bool sleeping_p, sleeping_c;  /* mutants: the sleeper has not answered yet */

bool dead_p, dead_c;  /* set by Killer; at most one */

/* Ghosts: nobody's decisions depend on them. */
byte published, consumed;
bool woken_c[RECORDS + 2], woken_p[RECORDS + 2];

#ifdef STRICT_WAKE_RULE
#define PASSES(from, to, waiting) ((from) < (waiting) && (waiting) < (to))
#else
#define PASSES(from, to, waiting) ((from) <= (waiting) && (waiting) < (to))
#endif

/* PublisherBarrier::pass. How many full barriers follow a wake-up isn't said: any number. */
inline publisher_barrier(own, light, word) {
#ifdef ASYMMETRIC
  if
  :: light
  :: !light ->
    if
    :: own!word, 1; light = true  /* [BARRIER] */
    :: skip
    fi;
#ifdef NO_SWITCH_FENCE
    if
    :: light
    :: !light -> empty(own)
    fi
#else
    empty(own)
#endif
  fi
#elif defined(NO_PUBLISHER_FENCE)
  skip
#else
  empty(own)
#endif
}

/* PublisherBarrier::note_sleeper */
inline note_sleeper(own, light, word) {
#ifdef ASYMMETRIC
  if
  :: light ->
#ifndef STAYS_LIGHT
    light = false;
#endif
    own!word, 0  /* [BARRIER] */
  :: !light
  fi
#else
  skip
#endif
}

/* AnnouncedSleep's constructor */
inline announce(own, sure, word) {
#ifdef ASYMMETRIC
#ifdef ASKS_TOO_EARLY
  sure = memory[word] == 0;
  empty(own)
#else
  empty(own);
  sure = memory[word] == 0  /* [BARRIER] */
#endif
#elif defined(NO_SLEEPER_FENCE)
  sure = true
#else
  empty(own);
  sure = true
#endif
}

/* The membarrier of AnnouncedSleep::sleep */
inline make_sure(own, sure) {
#ifdef NO_MEMBARRIER
  empty(own);
#else
  atomic { empty(producer_buffer) && empty(consumer_buffer) };
#endif
  sure = true
}

/* FUTEX_WAKE. The kernel orders the caller's earlier stores before it looks for sleepers, and the light barrier
 * rests on that: the tail may still be in the buffer when the wait position is read. */
inline futex_wake(asleep, moved, own) {
#ifndef WAKE_IS_NO_BARRIER
  empty(own);
#endif
  if
  :: !moved -> asleep = false
  :: moved
  fi
}

/* WaitGate::sleep. The kernel compares both words and falls asleep in one step. An unsure sleep ends at any time. */
inline gate_sleep(sleeping, reason, asleep, moved, word, expected, own, sure) {
#if defined(NO_OWN_WORD) || defined(SINGLE_RAISE)
  sleeping = true;
  if
  :: reason
  :: else ->
#endif
    d_step {
      moved = false;
      if
#if defined(NO_OWN_WORD) || defined(SINGLE_RAISE)
      :: memory[word] == expected -> asleep = true
#else
      :: memory[word] == expected && !reason -> asleep = true
#endif
      :: else
      fi
    }
    if
    :: !asleep
    :: asleep && !sure -> asleep = false; make_sure(own, sure)
    fi
#if defined(NO_OWN_WORD) || defined(SINGLE_RAISE)
  fi;
  sleeping = false
#endif
}

/* WaitGate::raise. The wake-up is one on the gate's own word. Without that word, a wake-up of the peer's word may
 * come just before the sleep, and would be repeated until the sleeper answers. */
inline gate_raise(sleeping, reason, asleep, moved) {
  reason = true;
#if defined(SINGLE_RAISE)
  if
  :: !moved -> asleep = false
  :: moved
  fi
#elif defined(NO_OWN_WORD)
  do
  :: sleeping && asleep && !moved -> asleep = false
  :: !sleeping -> break
  od
#else
  asleep = false
#endif
}

/* In each atomic block below stands one access to something shared; what is added to it is the process's own. */
proctype Producer() {
  byte head, count, released, target, waiting;
  bool over, light, sure;
#ifdef TICKET
  byte seen_ticket;
#endif
  {
    do
    :: head == RECORDS -> break
    :: head < RECORDS ->
      /* Producer::make_room: the records, and the zero word behind them */
      atomic {
        if
        :: count = 1
        :: head + 2 <= RECORDS && CAPACITY > 2 -> count = 2
        fi;
        target = (head + count + 1 > CAPACITY -> head + count + 1 - CAPACITY : 0);
        released = memory[RELEASED]  /* [RELEASE] */
      }
      if
      :: released >= target
      :: released < target ->  /* Producer::sleep_until_released */
#ifdef WAIT_AT_TARGET
        producer_buffer!WAIT_P, target;
#else
        producer_buffer!WAIT_P, target - 1;
#endif
        announce(producer_buffer, sure, BARRIER_C)  /* [SLEEP-P] */
      fi;
      do
      :: released >= target -> break
      :: released < target ->
        over = reason_p;
        released = memory[RELEASED];  /* [RELEASE] */
        if
        :: released >= target
        :: released < target && over -> goto gone
        :: released < target && !over -> 
          gate_sleep(sleeping_p, reason_p, asleep_p, moved_p, RELEASED, released, producer_buffer, sure)
        fi
      od;

      /* Producer::publish */
#ifdef TAIL_FIRST
      producer_buffer!TAIL, head + count;
#endif
#ifdef FIRST_HEADER_FIRST
      atomic { producer_buffer!HEADER(head), head + 1; published = head + count }
#endif
      if
      :: count == 2 -> producer_buffer!HEADER(head + 1), head + 2
      :: count == 1
      fi;
      producer_buffer!HEADER(head + count), 0;
#ifndef FIRST_HEADER_FIRST
      atomic { producer_buffer!HEADER(head), head + 1; published = head + count }  /* [PUBLISH] */
#endif
#ifndef TAIL_FIRST
      producer_buffer!TAIL, head + count;  /* [TAIL] */
#endif
      publisher_barrier(producer_buffer, light, BARRIER_P);  /* [SLEEP-C] */
      waiting = memory[WAIT_C];
#ifdef TICKET
      if
      :: waiting != OUT_OF_REACH && waiting != seen_ticket ->
        seen_ticket = waiting;
        futex_wake(asleep_c, moved_c, producer_buffer)
      :: else
      fi;
#else
      if
      :: PASSES(head, head + count, waiting) ->
        d_step { assert(!woken_c[waiting]); woken_c[waiting] = true }
        note_sleeper(producer_buffer, light, BARRIER_P);
        futex_wake(asleep_c, moved_c, producer_buffer)
      :: !PASSES(head, head + count, waiting)
      fi;
#endif
      atomic { head = head + count; count = 0; waiting = 0; target = 0; released = 0; sure = false }
    od
gone: skip
  } unless { dead_p }
}

proctype Consumer() {
  byte read, released, header, tail, seen_tail, waiting;
  bool over, light, sure;
#ifdef TICKET
  byte ticket;
#endif
  {
    do
    :: released == RECORDS -> break
    :: released < RECORDS ->
      /* Consumer::try_read */
      if
      :: read < RECORDS ->
        atomic {
          header = memory[HEADER(read)];  /* [PUBLISH] */
          if
          :: header == 0
          :: header != 0 ->
            assert(header == read + 1 && read < published);
            read++;
            consumed = read
          fi
        }
      :: read == RECORDS -> header = 0
      fi;

      /* Consumer::release: now or later, but before a wait */
      if
      :: released == read || header != 0
      :: released < read ->
        consumer_buffer!RELEASED, read;  /* [RELEASE] */
        publisher_barrier(consumer_buffer, light, BARRIER_C);  /* [SLEEP-P] */
        waiting = memory[WAIT_P];
        if
        :: PASSES(released, read, waiting) ->
          d_step { assert(!woken_p[waiting]); woken_p[waiting] = true }
          note_sleeper(consumer_buffer, light, BARRIER_C);
          futex_wake(asleep_p, moved_p, consumer_buffer)
        :: !PASSES(released, read, waiting)
        fi;
        atomic { waiting = 0; released = read }
      fi;

      /* Consumer::sleep_until_record */
      if
      :: header != 0 || read == RECORDS
      :: header == 0 && read < RECORDS ->
#ifdef TICKET
        ticket++;
        consumer_buffer!WAIT_C, ticket;
#else
        consumer_buffer!WAIT_C, read;
#endif
        announce(consumer_buffer, sure, BARRIER_P)  /* [SLEEP-C] */
      fi;
      do
      :: header != 0 || read == RECORDS -> break
      :: header == 0 && read < RECORDS ->
#ifndef REASON_AFTER_RECORD
        over = reason_c;
#endif
        tail = memory[TAIL];  /* [TAIL] */
        header = memory[HEADER(read)];  /* [PUBLISH] */
#ifdef REASON_AFTER_RECORD
        over = reason_c;
#endif
        if
        :: header != 0
        :: header == 0 ->
          d_step { assert(seen_tail <= tail && tail <= read); seen_tail = tail }
          if
          :: over -> goto gone
          :: !over ->
            gate_sleep(sleeping_c, reason_c, asleep_c, moved_c, TAIL, tail, consumer_buffer, sure)
          fi
        fi
      od;
      atomic { header = 0; tail = 0; sure = false }
    od
gone: assert(consumed == published && (consumed == RECORDS || dead_p))
  } unless { dead_c }
}

/* Store buffers run dry at any time. */
proctype Memory() {
  byte word, value;
end:
  do
  :: d_step { producer_buffer?word, value -> memory[word] = value; word = 0; value = 0 }
  :: d_step { consumer_buffer?word, value -> memory[word] = value; word = 0; value = 0 }
  od
}

/* The watcher thread of each process: raises the gate once the peer's death has been noticed. */
proctype ConsumersWatcher() {
end:
  atomic { dead_p && empty(producer_buffer) };
  gate_raise(sleeping_c, reason_c, asleep_c, moved_c)
}

proctype ProducersWatcher() {
end:
  atomic { dead_c && empty(consumer_buffer) };
  gate_raise(sleeping_p, reason_p, asleep_p, moved_p)
}

/* kill -9 between any two steps; or a peer that moves our sleeper before it dies, since until then nobody promises
 * us a wake-up. */
proctype Killer() {
end:
  if
  :: dead_p = true
  :: dead_c = true
  :: asleep_c -> moved_c = true; dead_p = true
  :: asleep_p -> moved_p = true; dead_c = true
  :: true
  fi
}

/* One wake-up for nothing: a signal, or a hostile FUTEX_WAKE. */
proctype Signal() {
end:
  if
  :: asleep_p -> asleep_p = false
  :: asleep_c -> asleep_c = false
  fi
}

init {
  atomic {
    memory[WAIT_P] = OUT_OF_REACH;
    memory[WAIT_C] = OUT_OF_REACH;
    run Memory(); run Producer(); run Consumer();
    run ConsumersWatcher(); run ProducersWatcher(); run Killer(); run Signal()
  }
}
