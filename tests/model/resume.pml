/* Resumption: two sides, each killed, restarted or taken over at any step.
 *
 * Side A produces RECORDS records, side B consumes them. A side that runs is an instance; it owns the region of the
 * same number and is the only one that writes it. A's region holds records and the stored tail, B's region the
 * released position; both are copied alike, so one direction of data shows both roles. An instance that has the
 * session's state is a keeper; a restarted one is a joiner until it has been offered the state:
 *
 *   keeper S                                        joiner V', in place of V
 *     stop reading V's region       [FENCE]
 *     tell V, if it lives           [SUPERSEDE]
 *     own region, V's region        [OFFER]   --->  copy V's region up to its true tail   [COPY]
 *     V' region replaces V's        [ADOPT]   <---  own region                            [ANSWER]
 *                                   [WELCOME] --->  work: produce at the true tail, consume from released
 *
 * A joiner that has been offered the state is a keeper itself if S dies. A keeper goes on working while its peer is
 * away. Killed: no step follows. Taken over: a new instance joins while the old one still runs (it was stopped,
 * say), and the old one goes on at any later time. Memory is sequentially consistent: death and sockets order more
 * than the regions need.
 *
 * Properties
 *   nothing lost, doubled, reordered   a legitimate producer continues exactly where the records published so far
 *                         end; a consumer reads exactly those; it starts at what was released, not later
 *   nothing overwritten   a producer never passes what its present consumer released by more than the ring
 *   stale writers         what a superseded instance writes after its region was copied is never read by another
 *   progress              when kills end, all records are consumed, unless both sides were dead at once: an
 *                         invalid end state otherwise
 *
 * Mutants, each of which must fail: see README.md.
 */
#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef TAKEOVERS
#define TAKEOVERS 1
#endif
#ifndef LISTENER
#define LISTENER A
#endif
#define CAPACITY 2                            /* records that fit the ring */
#define INSTANCES (2 + KILLS + TAKEOVERS)
#define SPAN (RECORDS + 2)
#define NONE 255
#define A 0
#define B 1

/* Regions. A record's value is its writer, plus 1; zero is no record. */
byte record[INSTANCES * SPAN];
byte tail[INSTANCES];
byte released[INSTANCES];
#define AT(region, position) record[(region) * SPAN + (position)]

/* Processes and their sockets. */
bool alive[INSTANCES], joiner_of_a[INSTANCES], joiner_of_b[INSTANCES];
bool superseded[INSTANCES];   /* a message in the instance's socket; it outlives its sender */
bool hung_up[INSTANCES];      /* the keeper closed the instance's socket */
byte offered_by[INSTANCES];   /* the keeper, once its OFFER is on the way */
byte offered_old[INSTANCES];  /* the region to copy */
bool answered[INSTANCES], welcomed[INSTANCES];
byte instances = 2, kills, takeovers;
bool finished;                /* everything was consumed */
bool session_lost;            /* nobody alive has the state */

/* Ghosts: nobody's decisions depend on them. */
bool has_state[INSTANCES], stale[INSTANCES];
byte truth[SPAN], published, consumed, safe_released;

/* What was published before must be in the region that is used from now on; what a stale writer added before the
 * copy is published thereby. */
inline check_records(region) {
  d_step {
    g = 0;
    do
    :: AT(region, g) != 0 ->
      assert(g >= published || AT(region, g) == truth[g]);
      truth[g] = AT(region, g);
      g++
    :: else -> break
    od;
    assert(g >= published);
    published = g;
    g = 0
  }
}

/* What the present consumer needs is intact; what a stale one released before the copy is released. */
inline see_released(region) {
  safe_released = (released[region] > safe_released -> released[region] : safe_released);
  assert(released[region] <= consumed && published <= released[region] + CAPACITY);
  finished = (finished || safe_released == RECORDS)
}

inline check_adopted(region) {
  if
  :: stale[me]
  :: !stale[me] && consumer -> check_records(region)
  :: !stale[me] && !consumer -> see_released(region)
  fi
}

#ifdef TRUST_TAIL
#define IS_RECORD(region, position) false
#elif defined(COPY_BEYOND)
#define IS_RECORD(region, position) (AT(region, position) != 0 || AT(region, position + 1) != 0)
#else
#define IS_RECORD(region, position) (AT(region, position) != 0)
#endif

/* [COPY] in two steps: where it ends, and the bytes. */
inline copy_region() {
  if
  :: old == NONE
  :: old != NONE && consumer -> released[me] = released[old]
  :: old != NONE && !consumer ->
    d_step {
      position = tail[old];
      do
      :: position < RECORDS && IS_RECORD(old, position) -> position++
      :: else -> break
      od
    }
    d_step {
      g = 0;
      do
      :: g < position -> AT(me, g) = AT(old, g); g++
      :: else -> break
      od;
      tail[me] = position;
      g = 0
    }
  fi
}

inline join() {
  if
  :: finished || session_lost -> goto gone
  :: offered_by[me] != NONE -> d_step { peer = offered_by[me]; old = offered_old[me] }
  fi;
#ifdef ANSWER_FIRST
  answered[me] = true;
  copy_region();
#else
  copy_region();
  answered[me] = true;  /* [ANSWER] */
#endif
#ifndef WORK_BEFORE_WELCOME
  if
  :: finished || session_lost || superseded[me] || (hung_up[me] && alive[peer]) -> goto gone
  :: welcomed[me] && !superseded[me]
  :: !alive[peer] && !superseded[me]  /* the keeper died: this is the keeper now */
  fi;
#endif
  atomic {
    if
    :: consumer ->
#ifdef START_AT_TAIL
      position = tail[peer];
      assert(stale[me] || position <= consumed)
#else
      position = released[me]
#endif
    :: !consumer -> seen_released = released[peer]
    fi;
    if
    :: stale[me]
    :: !stale[me] && consumer -> see_released(me); check_records(peer)
    :: !stale[me] && !consumer -> check_records(me)
    fi
  }
}

/* The joiner is gone. If the old peer is dead, nobody writes its region any more, and it is the truth again. */
inline resume_reading() {
  atomic {
    hand = NONE;
    if
    :: peer != NONE && !alive[peer] ->
      reading = true;
      check_adopted(peer)
    :: else
    fi
  }
}

#define A_JOINER(i) (alive[i] && offered_by[i] == NONE && (consumer -> joiner_of_a[i] : joiner_of_b[i]))
#if INSTANCES == 6
#define JOINER_WAITS (A_JOINER(2) || A_JOINER(3) || A_JOINER(4) || A_JOINER(5))
#elif INSTANCES == 5
#define JOINER_WAITS (A_JOINER(2) || A_JOINER(3) || A_JOINER(4))
#elif INSTANCES == 4
#define JOINER_WAITS (A_JOINER(2) || A_JOINER(3))
#else
#define JOINER_WAITS A_JOINER(2)
#endif

/* Notes a joiner that waits for this side, and stops reading the old peer. */
inline choose_joiner() {
  hand = 2;
  do
  :: !A_JOINER(hand) -> hand++
  :: A_JOINER(hand) -> break
  od;
#ifndef NO_FENCING
  reading = false  /* [FENCE] */
#endif
}

/* The state to the joiner; the old peer, which may live, is told before. */
inline offer() {
  if
  :: peer != NONE ->
    d_step {  /* [SUPERSEDE] */
#ifndef NO_SUPERSEDE
      superseded[peer] = true;
#endif
      stale[peer] = true;
      hung_up[peer] = true
    }
  :: else
  fi;
  atomic {
    if
    :: offered_by[hand] == NONE && alive[hand] ->  /* [OFFER] */
      offered_old[hand] = peer;
      offered_by[hand] = me;
      has_state[hand] = true;
      assert(!stale[me])
    :: else -> resume_reading()
    fi
  }
#ifdef FORGET_EARLY
  peer = NONE;
#endif
}

/* Only the listener replaces a peer that may be alive: a name is never taken from a living listener. The connector
 * waits for the listener's death, and looks into its socket once more after it. */
#ifdef BOTH_TAKE_OVER
#define MAY_OFFER (!superseded[me])
#define TAKES_OVER true
#else
#define MAY_OFFER (!superseded[me] && (TAKES_OVER || !alive[peer]))
#define TAKES_OVER (consumer == (LISTENER == B))
#endif

proctype Side(byte me; bool consumer; bool initial) {
  byte peer = NONE, old = NONE, hand = NONE;
  byte position, seen_released, count, g;
  bool reading;
  {
    if
    :: initial -> peer = 1 - me
    :: !initial -> join()
    fi;
    reading = true;
    do
    :: finished || session_lost || superseded[me] || (hung_up[me] && (peer == NONE || alive[peer])) -> break

    /* Resumption, as the keeper */
    :: atomic { hand == NONE && JOINER_WAITS && MAY_OFFER -> choose_joiner() }
      offer()
    :: hand != NONE && answered[hand] ->
      atomic {  /* [ADOPT] */
        peer = hand;
        check_adopted(peer)
      }
      welcomed[hand] = true;  /* [WELCOME] */
      atomic { reading = true; hand = NONE }
    :: hand != NONE && !alive[hand] -> resume_reading()
    :: hand != NONE && JOINER_WAITS && TAKES_OVER ->  /* the joiner took too long; another one is there */
      d_step {
#ifndef NO_SUPERSEDE
        superseded[hand] = true;
#endif
        stale[hand] = true;
        hung_up[hand] = true;
        hand = NONE
      }

    /* Producer */
    :: !consumer && position < RECORDS && position < seen_released + CAPACITY ->
      if
      :: count = 1
      :: position + 2 <= RECORDS && position + 2 <= seen_released + CAPACITY ->
        count = 2;
        AT(me, position + 1) = me + 1
      fi;
      atomic {  /* [PUBLISH] */
        AT(me, position) = me + 1;
        if
        :: stale[me]
        :: !stale[me] ->
          assert(position == published);
          published = position + count;
          assert(published <= safe_released + CAPACITY);
          truth[position] = AT(me, position);
          if
          :: count == 2 -> truth[position + 1] = AT(me, position + 1)
          :: else
          fi
        fi
      }
      atomic { position = position + count; tail[me] = position; count = 0 }  /* [TAIL] */
    :: !consumer && reading && seen_released != released[peer] -> seen_released = released[peer]  /* [RELEASE] */

    /* Consumer */
    :: consumer && reading && position < RECORDS && AT(peer, position) != 0 ->
      atomic {
        assert(stale[me] || (position < published && AT(peer, position) == truth[position]));
        position++;
        consumed = (position > consumed -> position : consumed)
      }
    :: consumer && released[me] != position ->
      atomic {  /* [RELEASE] */
        released[me] = position;
        if
        :: stale[me]
        :: !stale[me] ->
          safe_released = position;
          finished = (position == RECORDS)
        fi
      }
    od;
gone:
    alive[me] = false
  } unless { !alive[me] }
}

/* Kills, restarts, and instances that take over from one that still runs. */
#define START(is_consumer) \
  alive[instances] = true; \
  joiner_of_a[instances] = !(is_consumer); \
  joiner_of_b[instances] = is_consumer; \
  run Side(instances, is_consumer, false); \
  instances++

proctype Supervisor() {
  byte i;
  do
  :: true -> break  /* no more of it: what happens now must come to an end by itself */
  :: atomic {
      !finished && !session_lost && kills < KILLS && instances < INSTANCES ->
      do
      :: i < instances - 1 -> i++
      :: break
      od;
      if
      :: alive[i] && !stale[i] ->
        alive[i] = false;
        kills++;
        if
        :: i == B || joiner_of_b[i] -> START(true)
        :: else -> START(false)
        fi
      :: else
      fi;
      i = 0
    }
  :: atomic {
      !finished && !session_lost && takeovers < TAKEOVERS && instances < INSTANCES ->
      takeovers++;
#ifdef BOTH_TAKE_OVER
      if
      :: START(true)
      :: START(false)
      fi
#else
      START((LISTENER == A))
#endif
    }
  od
}

#define KEEPER(i) (alive[i] && has_state[i] && !stale[i])
#if INSTANCES == 6
#define NO_KEEPER !(KEEPER(0) || KEEPER(1) || KEEPER(2) || KEEPER(3) || KEEPER(4) || KEEPER(5))
#elif INSTANCES == 5
#define NO_KEEPER !(KEEPER(0) || KEEPER(1) || KEEPER(2) || KEEPER(3) || KEEPER(4))
#elif INSTANCES == 4
#define NO_KEEPER !(KEEPER(0) || KEEPER(1) || KEEPER(2) || KEEPER(3))
#else
#define NO_KEEPER !(KEEPER(0) || KEEPER(1) || KEEPER(2))
#endif

/* Both sides gone at once: the next pair starts a new session. */
proctype SessionEnd() {
end:
  NO_KEEPER -> session_lost = true
}

init {
  byte i;
  atomic {
    do
    :: i < INSTANCES -> offered_by[i] = NONE; offered_old[i] = NONE; i++
    :: i == INSTANCES -> break
    od;
    alive[A] = true; has_state[A] = true;
    alive[B] = true; has_state[B] = true;
    run Supervisor(); run SessionEnd();
    run Side(A, false, true);
    run Side(B, true, true)
  }
}
