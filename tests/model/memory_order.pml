/* The orders of the C++ memory model, for the words that two processes share: what publish_sleep_wake.pml and
 * resume.pml leave out. A load may return an old value, and two threads may see the stores of a third in different
 * orders, as far as no release, acquire or fence forbids it.
 *
 * Memory is a list of values for each word, oldest first; each word has one writer. A thread's view says, for each
 * word, the oldest value that a load may still return. A load takes that or any newer one. What a value was stored
 * with is passed on with it: all that the thread had seen, if it was a release; else what it had seen at its last
 * release fence. An acquire load takes that into the thread's view at once, a relaxed one at the next acquire fence.
 * Sequentially consistent fences pass views on among themselves. That is RC11, but for its release sequences. Not
 * shown are loads that come before an earlier load's value is known, which C++ allows for relaxed atomics only: none
 * of ours decides what is stored by a relaxed load without a fence behind it.
 *
 * Three programs: WAKE (publish, sleep and wake, in both directions, and the peer's end), HISTORY, FENCE. Each
 * statement in an atomic block is one of the code, whose tag it has. Mutants: see README.md.
 */
#define RELAXED false
#define ORDERED true /* an acquire load, a release store */

#ifdef WAKE
#ifndef RECORDS
#define RECORDS 2
#endif
#define CAPACITY 2 /* records and the zero word behind them */
#define HEADER(position) ((position) % CAPACITY)
#define PAYLOAD(position) (2 + (position) % CAPACITY)
#define READ(position) (4 + (position) % CAPACITY) /* no word: how often the payload was read */
#define TAIL 6
#define WAIT_P 7
#define RELEASED 8
#define WAIT_C 9
#define GATE 10
#define CLOSED 11
#ifdef ASYMMETRIC
#define BARRIER_P 12 /* 0 full, 1 light */
#define BARRIER_C 13
#define WORDS 14
#else
#define BARRIER_P 0 /* not used */
#define BARRIER_C 0
#define WORDS 12
#endif
#define VALUES 5
#define THREADS 3
#endif
#ifdef HISTORY
#define RECORDS 5
#define CAPACITY 3
#define HEADER(position) ((position) % CAPACITY)
#define PAYLOAD(position) (3 + (position) % CAPACITY)
#define OLDEST 6
#define WORDS 7
#define VALUES 6
#define THREADS 2
#endif
#ifdef FENCE
#define RELEASED 0
#define GATE 1
#define OFFER 2
#define WORDS 3
#define VALUES 3
#define THREADS 4
#endif

/* What a mutant weakens. */
#ifdef RELAXED_PUBLISH
#define PUBLISH_ORDER RELAXED
#else
#define PUBLISH_ORDER ORDERED
#endif
#ifdef RELAXED_READ
#define READ_ORDER RELAXED
#else
#define READ_ORDER ORDERED
#endif
#ifdef RELAXED_TAIL
#define TAIL_ORDER RELAXED
#else
#define TAIL_ORDER ORDERED
#endif
#ifdef RELAXED_RELEASE
#define RELEASE_ORDER RELAXED
#else
#define RELEASE_ORDER ORDERED
#endif
#ifdef RELAXED_REFRESH
#define REFRESH_ORDER RELAXED
#else
#define REFRESH_ORDER ORDERED
#endif
#ifdef RELAXED_GATE
#define GATE_ORDER RELAXED
#else
#define GATE_ORDER ORDERED
#endif
#ifdef RELAXED_CLOSE
#define CLOSE_ORDER RELAXED
#else
#define CLOSE_ORDER ORDERED
#endif
#ifdef RELAXED_OLDEST
#define OLDEST_ORDER RELAXED
#else
#define OLDEST_ORDER ORDERED
#endif

typedef View { byte at[WORDS] };
typedef Value { byte value; View with };
typedef Word { byte newest; Value list[VALUES] };
typedef Thread {
  View seen;         /* what a load must not go behind */
  View to_acquire;   /* that, once an acquire fence has been passed */
  View released      /* what relaxed stores pass on: that, at the last release fence */
};
Word memory[WORDS];
Thread thread[THREADS];
View fences; /* what sequentially consistent fences have passed on */

hidden byte w;
#define EACH_WORD(statement) w = 0; do :: w < WORDS -> statement; w++ :: else -> break od; w = 0
#define MAXIMUM(to, from) to = (from > to -> from : to)

inline store(t, word, new_value, order) {
  d_step {
    memory[word].newest++;
    assert(memory[word].newest < VALUES);
    memory[word].list[memory[word].newest].value = new_value;
    thread[t].seen.at[word] = memory[word].newest;
    thread[t].to_acquire.at[word] = memory[word].newest;
    EACH_WORD(memory[word].list[memory[word].newest].with.at[w] =
                  (order -> thread[t].seen.at[w] : thread[t].released.at[w]));
    memory[word].list[memory[word].newest].with.at[word] = memory[word].newest
  }
}

/* A local `pick` must be declared. */
inline load(t, word, into, order) {
  atomic {
    pick = thread[t].seen.at[word];
    do
    :: pick < memory[word].newest -> pick++
    :: break
    od;
    into = memory[word].list[pick].value;
    d_step {
      thread[t].seen.at[word] = pick;
      EACH_WORD(MAXIMUM(thread[t].to_acquire.at[w], memory[word].list[pick].with.at[w]));
      if
      :: order -> EACH_WORD(MAXIMUM(thread[t].seen.at[w], memory[word].list[pick].with.at[w]))
      :: else
      fi;
      pick = 0
    }
  }
}

inline acquire_fence(t) { d_step { EACH_WORD(thread[t].seen.at[w] = thread[t].to_acquire.at[w]) } }
inline release_fence(t) { d_step { EACH_WORD(thread[t].released.at[w] = thread[t].seen.at[w]) } }
inline full_fence(t) {
  d_step {
    EACH_WORD(MAXIMUM(fences.at[w], thread[t].to_acquire.at[w]));
    EACH_WORD(thread[t].seen.at[w] = fences.at[w]; thread[t].to_acquire.at[w] = fences.at[w];
              thread[t].released.at[w] = fences.at[w])
  }
}

/* The system call: each other thread passes a full barrier while the caller is inside. */
inline membarrier(t, another) {
  full_fence(t);
  full_fence(another);
  full_fence(t)
}

#ifdef WAKE
#define PRODUCER 0
#define CONSUMER 1
#define WATCHER 2
#define NEVER 255

/* The kernel's side of a futex: who sleeps, and what the caller of the last wake-up had seen. It orders nothing but
 * that a wake-up either finds the sleeper, or is seen by the one who is about to sleep. */
bool asleep_p, asleep_c;
View woken_p, woken_c;

bool closing, dead; /* the producer ended in this way */
byte published;     /* ghost */

inline futex_wake(t, asleep, woken) {
  d_step { EACH_WORD(MAXIMUM(woken.at[w], thread[t].seen.at[w])); asleep = false }
}

/* Compares any value that the sleeper may still see: without an order, it may be an old one. */
inline futex_wait(t, asleep, woken, word, expected, or_gate, publisher, sure) {
  d_step {
    EACH_WORD(MAXIMUM(thread[t].seen.at[w], woken.at[w]));
    EACH_WORD(MAXIMUM(thread[t].to_acquire.at[w], woken.at[w]))
  }
  load(t, word, compared, RELAXED);
  if
  :: or_gate -> load(t, GATE, over, RELAXED)
  :: else
  fi;
  if
  :: compared == expected && !over ->
    asleep = true;
    if
    :: !asleep
    :: asleep && !sure -> asleep = false; make_sure(t, publisher, sure)
    fi
  :: else
  fi
}

/* PublisherBarrier: see publish_sleep_wake.pml. */
inline publisher_barrier(t, light, word) {
#ifdef ASYMMETRIC
  if
  :: light
  :: !light ->
    if
    :: store(t, word, 1, RELAXED); light = true  /* [BARRIER] */
    :: skip
    fi;
#ifdef NO_SWITCH_FENCE
    if
    :: light
    :: !light -> full_fence(t)
    fi
#else
    full_fence(t)
#endif
  fi
#elif defined(NO_PUBLISHER_FENCE)
  skip
#else
  full_fence(t)
#endif
}

inline note_sleeper(t, light, word) {
#ifdef ASYMMETRIC
  if
  :: light -> light = false; store(t, word, 0, RELAXED)  /* [BARRIER] */
  :: !light
  fi
#else
  skip
#endif
}

/* AnnouncedSleep. `kind` is a local. */
inline announce(t, sure, word) {
#ifdef NO_SLEEPER_FENCE
  sure = true
#else
  full_fence(t);
#ifdef ASYMMETRIC
  load(t, word, kind, RELAXED);  /* [BARRIER] */
  atomic { sure = kind == 0; kind = 0 }
#else
  sure = true
#endif
#endif
}

inline make_sure(t, publisher, sure) {
#ifdef NO_MEMBARRIER
  full_fence(t);
#else
  membarrier(t, publisher);
#endif
  sure = true
}

/* A value that stands there already is not stored again: the lists stay short. */
inline change(t, word, new_value) {
  if
  :: memory[word].list[memory[word].newest].value != new_value -> store(t, word, new_value, RELAXED)
  :: else
  fi
}

proctype Producer() {
  byte pick, head, released, waiting, compared, over, kind;
  bool light, sure, announced;
  {
    publisher_barrier(PRODUCER, light, BARRIER_P);  /* the first choice */
    do
    :: head == RECORDS -> break
    :: else ->
      do
      :: head + 2 <= CAPACITY + released -> break
      :: else ->  /* Producer::sleep_until_released; here the consumer doesn't die */
        if
        :: !announced ->
          change(PRODUCER, WAIT_P, head + 1 - CAPACITY);
          announce(PRODUCER, sure, BARRIER_C);               /* [SLEEP-P] */
          announced = true
        :: announced
        fi;
        load(PRODUCER, RELEASED, released, REFRESH_ORDER);   /* [RELEASE] */
        if
        :: head + 2 > CAPACITY + released ->
          atomic { futex_wait(PRODUCER, asleep_p, woken_p, RELEASED, released, false, CONSUMER, sure) }
        :: else
        fi;
        load(PRODUCER, RELEASED, released, REFRESH_ORDER)
      od;
      /* Producer::publish_records. What is overwritten must be known to have been read, or it would be a race. */
      assert(thread[PRODUCER].seen.at[READ(head)] == memory[READ(head)].newest);
      assert(thread[PRODUCER].seen.at[READ(head + 1)] == memory[READ(head + 1)].newest);
      change(PRODUCER, HEADER(head + 1), 0);
      store(PRODUCER, PAYLOAD(head), head + 1, RELAXED);
      atomic { published = head + 1; store(PRODUCER, HEADER(head), head + 1, PUBLISH_ORDER) }  /* [PUBLISH] */
      store(PRODUCER, TAIL, head + 1, TAIL_ORDER);             /* [TAIL] */
      publisher_barrier(PRODUCER, light, BARRIER_P);           /* [SLEEP-C] */
      load(PRODUCER, WAIT_C, waiting, RELAXED);
      if
      :: waiting == head -> note_sleeper(PRODUCER, light, BARRIER_P); futex_wake(PRODUCER, asleep_c, woken_c)
      :: else
      fi;
      atomic { head++; waiting = 0; compared = 0; announced = false; sure = false }
    od;
#ifdef END
    store(PRODUCER, CLOSED, 1, CLOSE_ORDER);  /* [CLOSE] */
#endif
    closing = true
  } unless { dead }
}

proctype Consumer() {
  byte pick, read, header, payload, tail, waiting, compared, over, kind;
  bool light, sure, announced;
  publisher_barrier(CONSUMER, light, BARRIER_C);  /* the first choice */
  do
#ifndef END
  :: read == RECORDS -> break
#endif
  :: else ->
    load(CONSUMER, HEADER(read), header, READ_ORDER);  /* [PUBLISH] */
    if
    :: header != 0
    :: else ->  /* Consumer::sleep_until_record */
      if
      :: !announced ->
        change(CONSUMER, WAIT_C, read);
        announce(CONSUMER, sure, BARRIER_P);           /* [SLEEP-C] */
        announced = true
      :: announced
      fi;
      load(CONSUMER, GATE, over, ORDERED);
      load(CONSUMER, TAIL, tail, TAIL_ORDER);          /* [TAIL] */
      load(CONSUMER, HEADER(read), header, READ_ORDER);  /* [PUBLISH] */
      if
      :: header == 0 ->
        assert(tail <= read);  /* an honest producer is refused otherwise */
        if
        :: over -> break
        :: else -> atomic { futex_wait(CONSUMER, asleep_c, woken_c, TAIL, tail, true, PRODUCER, sure) }
        fi
      :: else
      fi
    fi;
    if
    :: header != 0 ->
      assert(header == read + 1);
      load(CONSUMER, PAYLOAD(read), payload, RELAXED);
      assert(payload == header);
      store(CONSUMER, READ(read), 0, RELAXED);
      store(CONSUMER, RELEASED, read + 1, RELEASE_ORDER);  /* [RELEASE] */
      publisher_barrier(CONSUMER, light, BARRIER_C);       /* [SLEEP-P] */
      load(CONSUMER, WAIT_P, waiting, RELAXED);
      if
      :: waiting == read -> note_sleeper(CONSUMER, light, BARRIER_C); futex_wake(CONSUMER, asleep_p, woken_p)
      :: else
      fi;
      atomic { read++; announced = false; sure = false }
    :: else
    fi;
    atomic { header = 0; payload = 0; tail = 0; waiting = 0; compared = 0; over = 0 }
  od;
  assert(read == published)
}

#ifdef END
proctype Killer() {
end:
  if
  :: !closing -> dead = true
  fi
}

/* The watcher of the consumer's process. The kernel tells of a death after everything that the dead has done; a
 * hang-up is taken to tell of nothing but itself. */
proctype Watcher() {
  byte pick, closed;
end:
  if
  :: dead -> d_step { EACH_WORD(MAXIMUM(thread[WATCHER].seen.at[w], thread[PRODUCER].seen.at[w])) }
  :: closing ->
    do
    :: closed -> break
    :: else -> load(WATCHER, CLOSED, closed, CLOSE_ORDER)
    od
  fi;
  store(WATCHER, GATE, 1, GATE_ORDER);  /* WaitGate::raise */
  futex_wake(WATCHER, asleep_c, woken_c)
}
#endif

init {
  atomic {
    memory[WAIT_P].list[0].value = NEVER;
    memory[WAIT_C].list[0].value = NEVER;
    run Producer(); run Consumer();
#ifdef END
    run Watcher(); run Killer()
#endif
  }
}
#endif

#ifdef HISTORY
#define WRITER 0
#define READER 1

/* Producer: publishes, and drops what it overwrites from the history before it does. */
proctype Writer() {
  byte head, oldest;
  do
  :: head == RECORDS -> break
  :: else ->
    if
    :: head + 2 > CAPACITY + oldest ->  /* Producer::drop_history_before */
#ifndef OLDEST_LATE
      atomic { oldest = head + 2 - CAPACITY; store(WRITER, OLDEST, oldest, OLDEST_ORDER) }  /* [OLDEST] */
#ifndef NO_WRITER_FENCE
      release_fence(WRITER)
#endif
#endif
    :: else
    fi;
    store(WRITER, HEADER(head + 1), 0, RELAXED);
    store(WRITER, PAYLOAD(head), head + 1, RELAXED);
    store(WRITER, HEADER(head), head + 1, PUBLISH_ORDER);  /* [PUBLISH] */
#ifdef OLDEST_LATE
    if
    :: head + 2 > CAPACITY + oldest ->
      atomic { oldest = head + 2 - CAPACITY; store(WRITER, OLDEST, oldest, OLDEST_ORDER) }
    :: else
    fi;
#endif
    head++
  od
}

/* HistoryReader: the oldest record, and whether it was still intact once it was copied. */
proctype Reader() {
  byte pick, place, header, payload, oldest;
  load(READER, OLDEST, place, ORDERED);
  load(READER, HEADER(place), header, READ_ORDER);  /* [PUBLISH] */
  load(READER, PAYLOAD(place), payload, RELAXED);
#ifndef NO_READER_FENCE
  acquire_fence(READER);  /* [OLDEST] */
#endif
  load(READER, OLDEST, oldest, RELAXED);
  if
  :: oldest > place
  :: else -> assert(place == 0 && header == 0 || header == place + 1 && payload == header)
  fi
}

init { atomic { run Writer(); run Reader() } }
#endif

#ifdef FENCE
#define KEEPER 0
#define END_OF_RING 1
#define OLD_PEER 2
#define SUCCESSOR 3

/* SessionPort::set_fenced, and the offer */
proctype Keeper() {
  store(KEEPER, GATE, 1, ORDERED);  /* [FENCE] WaitGate::interrupt */
#ifdef NO_MEMBARRIER
  full_fence(KEEPER);
#else
  membarrier(KEEPER, END_OF_RING);
#endif
  store(KEEPER, OFFER, 1, ORDERED)
}

byte used; /* of what the old peer wrote */

/* Producer::refresh_released; reading a record goes the same way. */
proctype EndOfRing() {
  byte pick, released, gate;
#ifdef GATE_FIRST
  load(END_OF_RING, GATE, gate, ORDERED);
#endif
  load(END_OF_RING, RELEASED, released, ORDERED);  /* [RELEASE] */
#ifndef GATE_FIRST
  load(END_OF_RING, GATE, gate, ORDERED);  /* [FENCE] */
#endif
  if
  :: gate == 0 -> used = released
  :: else
  fi
}

proctype OldPeer() { store(OLD_PEER, RELEASED, 1, ORDERED) }

/* Copies what its predecessor had released, once it has the offer. */
proctype Successor() {
  byte pick, offered, copied;
  do
  :: load(SUCCESSOR, OFFER, offered, ORDERED);
    if
    :: offered -> break
    :: else
    fi
  od;
  atomic { load(SUCCESSOR, RELEASED, copied, ORDERED); assert(used <= copied) }
}

init { atomic { run Keeper(); run EndOfRing(); run OldPeer(); run Successor() } }
#endif
