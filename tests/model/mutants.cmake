# Mutants: copies of the shipped lock-free headers with one step changed, each in a namespace of its own. The model
# tests must fail on every one of them. The text to change has to occur exactly once, so a header that was rewritten
# makes this fail at configure time instead of silently testing nothing.

# blitzio_add_mutant(<name> <header below io/include/blitzio/io> <text> <replacement>)
# writes mutants/<name>.hpp with everything in namespace blitzio::mutants::<name>. "sync:<header>" is a header of sync,
# "bridge:<header>" one of bridge, "compute:<header>" one of those in compute/src.
function(blitzio_add_mutant name header from to)
    set(module io)
    if(header MATCHES "^(sync|bridge|compute):(.*)$")
        set(module "${CMAKE_MATCH_1}")
        set(header "${CMAKE_MATCH_2}")
    endif()
    set(source "${PROJECT_SOURCE_DIR}/${module}/include/blitzio/${module}/${header}")
    if(module STREQUAL "compute")
        set(source "${PROJECT_SOURCE_DIR}/compute/src/${header}")
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    file(READ "${source}" text)
    string(FIND "${text}" "${from}" first)
    string(FIND "${text}" "${from}" last REVERSE)
    if(first EQUAL -1 OR NOT first EQUAL last)
        message(FATAL_ERROR "The mutant ${name} wants to change a text that occurs not exactly once in ${header}:\n${from}")
    endif()
    string(REPLACE "${from}" "${to}" text "${text}")
    set(borrowed "using namespace ::blitzio::detail;")
    # Only the shipped ring is a friend of stream_progress; no model has any progress.
    string(REPLACE "stream_progress::" "no_progress::" text "${text}")
    string(REPLACE "stream_progress*" "no_progress*" text "${text}")
    if(header MATCHES "^detail/")
        string(REPLACE "namespace blitzio::detail\n{" "namespace blitzio::mutants::${name}\n{\n${borrowed}" text "${text}")
    elseif(module STREQUAL "compute")
        string(REPLACE "namespace blitzio::compute::detail\n{"
            "namespace blitzio::compute\n{\n}\nnamespace blitzio::mutants::${name}\n{\nusing namespace ::blitzio::compute;"
            text "${text}")
    else()
        string(REPLACE "namespace blitzio\n{" "namespace blitzio::mutants::${name}\n{" text "${text}")
        string(REPLACE "namespace detail\n{" "namespace detail\n{\nusing ::blitzio::detail::std_atomics;" text "${text}")
    endif()
    string(FIND "${text}" "namespace blitzio::mutants::${name}\n{" moved)
    if(moved EQUAL -1)
        message(FATAL_ERROR "The mutant ${name} found no namespace to rename in ${header}")
    endif()
    file(CONFIGURE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/mutants/${name}.hpp" CONTENT "@text@" @ONLY)
endfunction()

# The owner writes over slots that a thief still reads.
blitzio_add_mutant(steal_queue_push_over_claim detail/steal_queue.hpp
    [[if (tail - head.steal < Capacity)]] [[if (tail - head.real < Capacity)]])
# A second thief claims while the first is inside.
blitzio_add_mutant(steal_queue_claim_ignores_thief detail/steal_queue.hpp
    [[            if (head.steal != head.real)
            {
                return {.steal = 0, .real = 0};]] [[            if (false)
            {
                return {.steal = 0, .real = 0};]])
# A pop lets go of the slots that a thief reads.
blitzio_add_mutant(steal_queue_pop_ends_claim detail/steal_queue.hpp
    [[head.steal == head.real ? real : head.steal]] [[real]])
# The thief lets go of less than it claimed, so its slots stay blocked.
blitzio_add_mutant(steal_queue_finish_forgets_pops detail/steal_queue.hpp
    [[const std::uint32_t real = unpack(seen).real;]] [[const std::uint32_t real = unpack(seen).steal;]])
# The thief fills slots of its own ring that another thief still reads.
blitzio_add_mutant(steal_queue_take_without_room detail/steal_queue.hpp
    [[if (tail - own.steal > Capacity / 2)]] [[if (tail - own.real > Capacity / 2)]])

blitzio_add_mutant(inbox_nobody_wakes detail/inbox.hpp
    [[return seen == &asleep_;]] [[return false;]])
blitzio_add_mutant(inbox_everyone_wakes detail/inbox.hpp
    [[return seen == &asleep_;]] [[return true;]])
# The consumer goes to sleep over letters that came after its last look.
blitzio_add_mutant(inbox_sleeps_on_letters detail/inbox.hpp
    [[return head_.compare_exchange_strong(expected, &asleep_, std::memory_order_release,]]
    [[expected = head_.load(std::memory_order_relaxed);
        return head_.compare_exchange_strong(expected, &asleep_, std::memory_order_release,]])
# Waking up throws the letters away that have come meanwhile.
blitzio_add_mutant(inbox_wakes_erase_letters detail/inbox.hpp
    [[return head_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed,]]
    [[expected = head_.load(std::memory_order_relaxed);
        return head_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed,]])
# Who finds the inbox emptied does not see what the consumer did before.
blitzio_add_mutant(inbox_takes_unseen detail/inbox.hpp
    [[head_.exchange(nullptr, std::memory_order_acq_rel);]] [[head_.exchange(nullptr, std::memory_order_acquire);]])
blitzio_add_mutant(inbox_looks_blindly detail/inbox.hpp
    [[head_.load(std::memory_order_acquire);]] [[head_.load(std::memory_order_relaxed);]])

# A producer looks at the state without ordering its push before the look.
blitzio_add_mutant(idle_set_producer_only_loads detail/idle_set.hpp
    [[return state_.fetch_add(0, std::memory_order_seq_cst);]] [[return state_.load(std::memory_order_seq_cst);]])
# A worker that was turned away from searching parks without a second look, although nobody searches.
blitzio_add_mutant(idle_set_only_searchers_look_again detail/idle_set.hpp
    [[return searching_in(before - leaving) == 0;]] [[return was_searching && searching_in(before - leaving) == 0;]])
# Nobody looks again before parking.
blitzio_add_mutant(idle_set_nobody_looks_again detail/idle_set.hpp
    [[return searching_in(before - leaving) == 0;]] [[return searching_in(before) > 1000;]])
# The last searcher finds work and does not notify for what came meanwhile.
blitzio_add_mutant(idle_set_last_searcher_is_silent detail/idle_set.hpp
    [[return searching_in(before) == 1;]] [[return false;]])
# A worker that was chosen believes that it woke by itself, so it stays counted as searching.
blitzio_add_mutant(idle_set_chosen_worker_does_not_search detail/idle_set.hpp
    [[return !unpark_if_parked(index);]] [[unpark_if_parked(index); return false;]])
# A worker that lost its bit to a notifier keeps its reservation: a sleeper too few is counted.
blitzio_add_mutant(idle_set_reservation_is_kept detail/idle_set.hpp
    [[        state_.fetch_sub(one_unparked, std::memory_order_seq_cst);
        return false;]] [[        return false;]])
# A notifier that found nobody goes away without a second look at what others left to it.
blitzio_add_mutant(idle_set_vain_notifier_gives_up detail/idle_set.hpp
    [[            seen = state_.fetch_sub(reservation, std::memory_order_seq_cst) - reservation;]]
    [[            state_.fetch_sub(reservation, std::memory_order_seq_cst);
            break;]])
# A notifier that found nobody keeps its reservation: a searcher is counted that does not exist.
blitzio_add_mutant(idle_set_vain_notifier_stays_counted detail/idle_set.hpp
    [[            seen = state_.fetch_sub(reservation, std::memory_order_seq_cst) - reservation;]]
    [[            break;]])
# A worker that wakes by itself stays listed, so that a notifier wakes one who is awake.
blitzio_add_mutant(idle_set_self_wake_keeps_bit detail/idle_set.hpp
    [[        if (take(index))
        {
            return true;
        }]] [[        if (is_parked(index))
        {
            return true;
        }]])

# The destructor does not wait for the callback that runs on another thread.
blitzio_add_mutant(stop_token_destructor_does_not_wait stop_token.hpp
    [[while (is_running_elsewhere(removed))]] [[while (false)]])
# Whoever waits for a callback keeps the lock, so that the request never gets to say that it ended.
blitzio_add_mutant(stop_token_waits_with_lock stop_token.hpp
    [[            unlock();
            Atomics::back_off(round++);
            lock();]] [[            Atomics::back_off(round++);]])
# The request says only after it gave the lock back which callback it is about to call.
blitzio_add_mutant(stop_token_call_named_unlocked stop_token.hpp
    [[            Atomics::store_plain(now.running, next);
            unlock();]] [[            unlock();
            Atomics::store_plain(now.running, next);]])
# The source leads to the drain after the request has returned.
blitzio_add_mutant(stop_token_drain_stays_reachable stop_token.hpp
    [[        Atomics::store_plain(first_, nullptr);
    }]] [[    }]])
# The drain is given up when the last callback is taken off the list, before it is called.
blitzio_add_mutant(stop_token_last_call_is_not_awaited stop_token.hpp
    [[            Atomics::store_plain(now.running, next);]] [[            Atomics::store_plain(now.running, next);
            if (Atomics::load_plain(now.next_) == nullptr)
            {
                Atomics::store_plain(first_, nullptr);
            }]])
# Whoever waits for a callback looks at the drain after it gave the lock back.
blitzio_add_mutant(stop_token_drain_read_unlocked stop_token.hpp
    [[        const auto& now = static_cast<const drain&>(*first);
        return Atomics::load_plain(now.running) == &asked &&
               Atomics::load_plain(now.thread) != Atomics::current_thread();]]
    [[        const auto& now = static_cast<const drain&>(*first);
        auto& self = const_cast<basic_stop_source&>(*this);
        self.unlock();
        const bool running = Atomics::load_plain(now.running) == &asked &&
                             Atomics::load_plain(now.thread) != Atomics::current_thread();
        self.lock();
        return running;]])
# A callback that destroys itself waits for itself.
blitzio_add_mutant(stop_token_waits_for_itself stop_token.hpp
    [[Atomics::load_plain(now.thread) != Atomics::current_thread();]] [[true;]])
# A callback is listed after the stop request, and is never run.
blitzio_add_mutant(stop_token_late_callback_is_missed stop_token.hpp
    [[        if (!try_lock(0))
        {
            return false;
        }]] [[        lock();]])
# The request touches the callback after it ran.
blitzio_add_mutant(stop_token_touches_after_call stop_token.hpp
    [[            unlink(next);
            const auto invoke = Atomics::load_plain(next->invoke_);]]
    [[            unlink(next);
            const auto invoke = Atomics::load_plain(next->invoke_);
            struct late
            {
                node* touched;
                ~late() { Atomics::store_plain(touched->next_, nullptr); }
            } const late_touch{next};]])
# Whoever comes second may change the reason, and runs what is left of the list a second time.
blitzio_add_mutant(stop_token_second_request_counts stop_token.hpp
    [[        if (!try_lock(request))
        {
            return false;
        }]] [[        lock();
        state_.store(request | locked_bit, std::memory_order_relaxed);]])

# The sender publishes a value to a receiver that has closed.
blitzio_add_mutant(oneshot_state_value_after_close detail/oneshot_state.hpp
    [[if ((seen & closed_bit) != 0 && outcome == value_set)]] [[if (false)]])
# The receiver sleeps although the sender has finished.
blitzio_add_mutant(oneshot_state_waits_for_ever detail/oneshot_state.hpp
    [[            if ((seen & finished) != 0)
            {
                return false;
            }
            // Release]] [[            // Release]])
# A withdrawal succeeds although the sender is about to wake.
blitzio_add_mutant(oneshot_state_wakes_twice detail/oneshot_state.hpp
    [[if ((seen & finished) != 0 || (seen & receiver_waiting) == 0)]] [[if ((seen & receiver_waiting) == 0)]])
# A withdrawn waiter is woken all the same.
blitzio_add_mutant(oneshot_state_withdrawal_leaves_bit detail/oneshot_state.hpp
    [[seen & ~unsigned{receiver_waiting}]] [[unsigned{seen}]])

# The completion continues the waiter although a cancel request still uses the operation.
blitzio_add_mutant(op_state_completion_does_not_wait detail/op_state.hpp
    [[return (before & cancel_requested) == 0 || (before & cancel_done) != 0;]] [[return before != ~0U;]])
# A request is accepted that comes after the end.
blitzio_add_mutant(op_state_cancel_after_end detail/op_state.hpp
    [[while ((seen & terminal) == 0)]] [[while (true)]])
# The cancel request that is last continues nobody.
blitzio_add_mutant(op_state_cancel_is_silent detail/op_state.hpp
    [[return (bits_.fetch_or(cancel_done, std::memory_order_acq_rel) & terminal) != 0;]]
    [[bits_.fetch_or(cancel_done, std::memory_order_acq_rel); return false;]])
# An operation is submitted that was cancelled before, without the canceller knowing of it.
blitzio_add_mutant(op_state_submits_cancelled detail/op_state.hpp
    [[return (bits_.fetch_or(submitted, std::memory_order_acq_rel) & cancel_requested) == 0;]]
    [[bits_.fetch_or(submitted, std::memory_order_acq_rel); return true;]])

# A dropped handle leaves the cell to the task although that has finished.
blitzio_add_mutant(join_state_drop_forgets_result detail/join_state.hpp
    [[return leave(dropped);]] [[static_cast<void>(leave(dropped));
        return true;]])
# The end of the task overwrites the joiner's mark.
blitzio_add_mutant(join_state_finish_overlooks_joiner detail/join_state.hpp
    [[if (seen == running &&]] [[if (seen != dropped &&]])
# The task frees the cell that the joiner is about to read.
blitzio_add_mutant(join_state_joiner_frees_early detail/join_state.hpp
    [[return seen == joined ? join_verdict::wake_joiner : join_verdict::free_cell;]]
    [[return join_verdict::free_cell;]])
# The joiner sleeps although the task has finished.
blitzio_add_mutant(join_state_waits_for_ever detail/join_state.hpp
    [[return leave(joined);]] [[static_cast<void>(leave(joined));
        return true;]])

blitzio_add_mutant(spin_lock_enters_without_asking detail/spin_lock.hpp
    [[locked_.exchange(true, std::memory_order_acquire)]] [[locked_.load(std::memory_order_acquire)]])
blitzio_add_mutant(spin_lock_never_opens detail/spin_lock.hpp
    [[locked_.store(false, std::memory_order_release);]] [[locked_.store(true, std::memory_order_release);]])

# The child continues the parent although its start has not returned.
blitzio_add_mutant(start_gate_both_go_on detail/start_gate.hpp
    [[return phase_.exchange(ended, std::memory_order_acq_rel) == suspended;]]
    [[return phase_.exchange(ended, std::memory_order_acq_rel) != ended;]])
# The start does not see that the child has ended between its look and its exchange.
blitzio_add_mutant(start_gate_nobody_goes_on detail/start_gate.hpp
    [[return phase_.exchange(suspended, std::memory_order_acq_rel) != ended;]]
    [[phase_.exchange(suspended, std::memory_order_acq_rel);
        return true;]])

# The operation goes to sleep over a wake that came during the poll.
blitzio_add_mutant(waker_state_sleeps_over_wake detail/waker_state.hpp
    [[        std::uint8_t expected = 0;]]
    [[        std::uint8_t expected = bits_.load(std::memory_order_relaxed);]])
# Every wake of a sleeping operation schedules it.
blitzio_add_mutant(waker_state_wakes_twice detail/waker_state.hpp
    [[std::memory_order_acq_rel) == waiting;]]
    [[std::memory_order_acq_rel) >= waiting;]])
# The end leaves the operation as if it slept.
blitzio_add_mutant(waker_state_wakes_the_dead detail/waker_state.hpp
    [[bits_.store(ended, std::memory_order_relaxed);]]
    [[bits_.store(waiting, std::memory_order_relaxed);]])

# After the owner's end nobody ever finds out that all are back.
blitzio_add_mutant(return_list_nobody_is_last detail/return_list.hpp
    [[out_.fetch_sub(1, std::memory_order_acq_rel) == 1]] [[out_.fetch_sub(1, std::memory_order_acq_rel) == 100]])
# Those who come late are queued behind the mark, where nobody looks.
blitzio_add_mutant(return_list_late_ones_queue detail/return_list.hpp
    [[while (seen != &ended_)]] [[while (true)]])
# The owner does not see that all came back before it counted.
blitzio_add_mutant(return_list_end_forgets detail/return_list.hpp
    [[return out_.fetch_add(out, std::memory_order_acq_rel) + out == 0;]]
    [[out_.fetch_add(out, std::memory_order_acq_rel);
        return out == 0;]])
# A node does not lead to those that came before it.
blitzio_add_mutant(return_list_push_loses_chain detail/return_list.hpp
    [[Atomics::store_plain(node.next, seen);]] [[Atomics::store_plain(node.next, nullptr);]])

# The lock is freed over those who wait.
blitzio_add_mutant(lock_core_frees_over_waiters sync:detail/lock_core.hpp
    [[if (expected == held &&]] [[if (expected != unlocked &&]])
# A waiter enters the queue without a mark for the holder.
blitzio_add_mutant(lock_core_waits_unmarked sync:detail/lock_core.hpp
    [[is_free ? held : held | waited_bit]] [[held]])
# The mark stays although the last waiter was withdrawn.
blitzio_add_mutant(lock_core_mark_stays sync:detail/lock_core.hpp
    [[        note_removal();
        return true;]] [[        return true;]])
# The mark goes although somebody still waits.
blitzio_add_mutant(lock_core_mark_goes_early sync:detail/lock_core.hpp
    [[        if (waiting_.empty())
        {
            word_]] [[        if (true)
        {
            word_]])
# The heir gets the lock, and so may anybody else.
blitzio_add_mutant(lock_core_heir_and_free sync:detail/lock_core.hpp
    [[word_.store(held, std::memory_order_relaxed);]] [[word_.store(unlocked, std::memory_order_relaxed);]])
# A stop request that comes before the wait is not heard.
blitzio_add_mutant(lock_core_deaf_to_stop sync:detail/lock_core.hpp
    [[if (node.status == wait_status::cancelled)]] [[if (false)]])
# The lock is freed under the queue's lock, which is touched once more afterwards.
blitzio_add_mutant(lock_core_frees_inside sync:detail/lock_core.hpp
    [[                if (!waiting_.empty())
                {
                    const]] [[                if (waiting_.empty())
                {
                    word_.store(unlocked, std::memory_order_release);
                    return nullptr;
                }
                {
                    const]])

# The position advances over a sleeper.
blitzio_add_mutant(waitable_cursor_passes_sleeper sync:detail/waitable_cursor.hpp
    [[advance_unless(position, waiting_bit | closed_bit)]] [[advance_unless(position, closed_bit)]])
# The waiter is claimed, and may be claimed again.
blitzio_add_mutant(waitable_cursor_claims_twice sync:detail/waitable_cursor.hpp
    [[word_.compare_exchange_weak(seen, seen & ~waiting_bit, std::memory_order_acquire,]]
    [[word_.compare_exchange_weak(seen, seen, std::memory_order_acquire,]])
# A stop request that comes before the wait is not heard.
blitzio_add_mutant(waitable_cursor_deaf_to_stop sync:detail/waitable_cursor.hpp
    [[waits ? seen & ~waiting_bit : seen | withdrawn_bit]] [[waits ? seen & ~waiting_bit : seen]])
# A stop request for one wait refuses the next.
blitzio_add_mutant(waitable_cursor_remembers_stop sync:detail/waitable_cursor.hpp
    [[if ((word_.load(std::memory_order_relaxed) & withdrawn_bit) != 0)]] [[if (false)]])
# Who sleeps is not told of the end.
blitzio_add_mutant(waitable_cursor_closes_silently sync:detail/waitable_cursor.hpp
    [[return (seen & waiting_bit) != 0;]] [[return false;]])
# Somebody goes to sleep after the end.
blitzio_add_mutant(waitable_cursor_sleeps_after_end sync:detail/waitable_cursor.hpp
    [[            if ((seen & closed_bit) != 0)
            {
                return park_result::closed;
            }]] [[]])

# The receiver asks first whether there is a value, and then whether the end has come.
blitzio_add_mutant(spsc_state_end_hides_value sync:detail/spsc_state.hpp
    [[            const bool closed = tail_.is_closed();
            receiver_.other = tail_.position();]] [[            receiver_.other = tail_.position();
            const bool closed = tail_.is_closed();]])
# The value of a sleeping sender is taken, and the sender's position stays.
blitzio_add_mutant(spsc_state_takes_without_step sync:detail/spsc_state.hpp
    [[        sender_.step(capacity_);
        return served;]] [[        return served;]])
# A slot is given away before it is empty.
blitzio_add_mutant(spsc_state_gives_full_slot sync:detail/spsc_state.hpp
    [[        value.emplace(std::move(*slot));
        std::destroy_at(slot);
        bool claimed = false;]] [[        bool claimed = false;
        struct later
        {
            std::optional<T>& target;
            T* from;
            ~later()
            {
                target.emplace(std::move(*from));
                std::destroy_at(from);
            }
        } const late_move{value, slot};]])
# A sleeping sender is claimed and forgotten.
blitzio_add_mutant(spsc_state_forgets_sender sync:detail/spsc_state.hpp
    [[        if (claimed &&]] [[        if (false &&]])

# Who comes late to a select claims it all the same.
blitzio_add_mutant(choice_claims_twice detail/choice.hpp
    [[        return seen == open;]] [[        return seen != held;]])
# Both of two selects that meet each other wait for the other one.
blitzio_add_mutant(choice_everybody_waits detail/choice.hpp
    [[const bool waits = std::less<>{}(&own, &other); // C3]] [[const bool waits = true;]])
# The select that was met is decided before the one that comes is held.
blitzio_add_mutant(choice_forgets_own detail/choice.hpp
    [[while (own.hold())]] [[while (own.index() == undecided)]])
# A select that found the other one decided stays held.
blitzio_add_mutant(choice_keeps_hold detail/choice.hpp
    [[            own.let_go();
            if (seen != held)]] [[            if (seen == held)
            {
                own.let_go();
            }
            if (seen != held)]])
# A held select is taken for a decided one: a value would pass by somebody who waits.
blitzio_add_mutant(choice_overlooks_hold detail/choice.hpp
    [[        for (std::uint32_t round = 0; seen == held; ++round)]] [[        for (std::uint32_t round = 0; false; ++round)]])

# A case of a select sends although another one was chosen.
blitzio_add_mutant(channel_state_sends_unclaimed sync:detail/channel_state.hpp
    [[        if (own != nullptr && !claim_case<Atomics>(*own))
        {
            return channel_transfer::lost;
        }
        push(value);]] [[        push(value);]])
# A case of a select receives although another one was chosen.
blitzio_add_mutant(channel_state_receives_unclaimed sync:detail/channel_state.hpp
    [[        if (own != nullptr && !claim_case<Atomics>(*own))
        {
            return channel_transfer::lost;
        }
        store_.pop]] [[        store_.pop]])
# The end of a channel is told to cases whose select has chosen another one.
blitzio_add_mutant(channel_state_closes_losers sync:detail/channel_state.hpp
    [[told.take_all<Atomics>(receivers_, wait_status::closed);]] [[while (wait_node* const first = receivers_.pop_front(wait_status::closed))
        {
            told.add(*first);
        }]])
# A value goes to the one that comes although others were sent before.
blitzio_add_mutant(channel_state_overtakes sync:detail/channel_state.hpp
    [[        if (count() == 0)
        {
            return take_from_frame(value, own, woken);]] [[        if (count() == 0 || !senders_.empty())
        {
            return take_from_frame(value, own, woken);]])
# The sender that waits is not let in when there is room.
blitzio_add_mutant(channel_state_sender_stays_behind sync:detail/channel_state.hpp
    [[                push(*static_cast<send_node*>(met)->source);]] [[                met->status = wait_status::closed;]])
# A stop request that comes before the wait is not heard.
blitzio_add_mutant(channel_state_deaf_to_stop sync:detail/channel_state.hpp
    [[        if (mode == attempt_mode::or_wait && node.status == wait_status::cancelled)
        {
            return true;
        }
        const auto outcome = take(]] [[        if (node.status == wait_status::cancelled)
        {
            node.status = wait_status::idle;
        }
        const auto outcome = take(]])

# A case of a select inherits the lock although another one was chosen.
blitzio_add_mutant(lock_core_heir_unclaimed sync:detail/lock_core.hpp
    [[first->case_number == 0) ]] [[true) ]])
# A case of a select takes the lock or waits for it although another one was chosen.
blitzio_add_mutant(lock_core_takes_unheld sync:detail/lock_core.hpp
    [[        if (!shared.hold())
        {]] [[        if (!shared.hold() && false)
        {]])
# A case of a select has the lock, and another one may still be chosen.
blitzio_add_mutant(lock_core_stays_open sync:detail/lock_core.hpp
    [[        if (taken)
        {]] [[        if (taken && false)
        {]])

# Producers that wait are not told that nobody wants their values any more.
blitzio_add_mutant(stream_queue_closes_deafly detail/stream_queue.hpp
    [[            closed_ = true;
            refused = take_pushers();]] [[            closed_ = true;]])
# The consumer that waits is not told of the end.
blitzio_add_mutant(stream_queue_forgets_consumer detail/stream_queue.hpp
    [[return is_at_end() ? std::exchange(consumer_, nullptr) : nullptr;]] [[return nullptr;]])
# A producer that waits is let go without its value.
blitzio_add_mutant(stream_queue_loses_pusher detail/stream_queue.hpp
    [[            put(*pusher->source);
]] [[]])
# A value enters after the end.
blitzio_add_mutant(stream_queue_opens_after_end detail/stream_queue.hpp
    [[        if (closed_ || failed_)
        {
            return true;
        }]] [[]])

# A stop request that comes before the wait is not heard.
blitzio_add_mutant(semaphore_core_deaf_to_stop sync:detail/semaphore_core.hpp
    [[        if (wanting.status == wait_status::cancelled)
        {
            return true;
        }]] [[        if (wanting.status == wait_status::cancelled)
        {
            wanting.status = wait_status::idle;
        }]])
# A case of a select gets permits although another one was chosen.
blitzio_add_mutant(semaphore_core_grants_losers sync:detail/semaphore_core.hpp
    [[            if (granted.grant_if_chosen<Atomics>(waiting_, *first))
            {
                available_ -= wanted;
            }]] [[            waiting_.remove(*first, wait_status::granted);
            granted.add(*first);
            available_ -= wanted;]])
# Somebody takes permits although others wait for more.
blitzio_add_mutant(semaphore_core_overtakes sync:detail/semaphore_core.hpp
    [[return waiting_.empty() && available_ >= count;]] [[return available_ >= count;]])
# Nobody looks behind a case whose select has chosen another one.
blitzio_add_mutant(semaphore_core_stops_at_loser sync:detail/semaphore_core.hpp
    [[                available_ -= wanted;
            }
        }]] [[                available_ -= wanted;
            }
            else
            {
                return;
            }
        }]])
# Those behind one that gives up are not looked at.
blitzio_add_mutant(semaphore_core_withdrawal_blocks sync:detail/semaphore_core.hpp
    [[        grant(granted);
        return was_waiting;]] [[        static_cast<void>(granted);
        return was_waiting;]])

# A case of a select that waits is served although another one was chosen.
blitzio_add_mutant(spsc_state_serves_losers sync:detail/spsc_state.hpp
    [[        if (claim_case<Atomics>(node))
        {
            return true;
        }]] [[        static_cast<void>(woken);
        if (claim_case<Atomics>(node) || node.status == wait_status::queued)
        {
            return true;
        }]])
# A case of a select takes a value although another one was chosen.
blitzio_add_mutant(spsc_state_receives_unclaimed sync:detail/spsc_state.hpp
    [[        if (!claim_own(own))
        {
            return channel_transfer::lost;
        }
        T* const slot = ring_ + receiver_.slot;]] [[        static_cast<void>(claim_own(own));
        T* const slot = ring_ + receiver_.slot;]])
# A case of a select sends although another one was chosen.
blitzio_add_mutant(spsc_state_sends_unclaimed sync:detail/spsc_state.hpp
    [[        if (!claim_own(own))
        {
            return channel_transfer::lost;
        }
        T* const slot = ring_ + sender_.slot;]] [[        static_cast<void>(claim_own(own));
        T* const slot = ring_ + sender_.slot;]])

# What has come is moved before anybody can see that something is in order.
blitzio_add_mutant(injection_queue_moves_unseen detail/injection_queue.hpp
    [[        some_ordered_.store(true, std::memory_order_relaxed);
        // Acquire]] [[        // Acquire]])
blitzio_add_mutant(injection_queue_takes_without_lock detail/injection_queue.hpp
    [[        const spin_guard guard(lock_);
        if (count_ == 0)]] [[        if (count_ == 0)]])
# Closing throws away what has come and was not put in order yet.
blitzio_add_mutant(injection_queue_closes_over_elements detail/injection_queue.hpp
    [[collect(&closed_);]] [[incoming_.exchange(&closed_, std::memory_order_acq_rel);]])
# The rest of a batch is no longer announced.
blitzio_add_mutant(injection_queue_forgets_what_was_ordered detail/injection_queue.hpp
    [[        if (count_ == 0)
        {
            some_ordered_.store(false, std::memory_order_relaxed);
        }]] [[        some_ordered_.store(false, std::memory_order_relaxed);]])

# The feeder that waits for room is not told that nobody wants results any more.
blitzio_add_mutant(par_ring_closes_deafly bridge:detail/par_ring.hpp
    [[        cut_ = 0;
        refuse_feeder(woken);]] [[        cut_ = 0;]])
# The feeder looks for room and waits for it in two steps.
blitzio_add_mutant(par_ring_asks_in_two_steps bridge:detail/par_ring.hpp
    [[        const spin_guard held(lock_);
        if (is_cut() || grant(wish))
        {
            return true;
        }]] [[        {
            const spin_guard held(lock_);
            if (is_cut() || grant(wish))
            {
                return true;
            }
        }
        const spin_guard held(lock_);]])
# The consumer looks for a result and waits for it in two steps.
blitzio_add_mutant(par_ring_takes_in_two_steps bridge:detail/par_ring.hpp
    [[        const spin_guard held(lock_);
        wish.cell = pop_deliverable(woken);
        if (wish.cell != nullptr || is_at_end())
        {
            return true;
        }]] [[        {
            const spin_guard held(lock_);
            wish.cell = pop_deliverable(woken);
            if (wish.cell != nullptr || is_at_end())
            {
                return true;
            }
        }
        const spin_guard held(lock_);]])
# The last worker goes, and the feeder that waits for it is not told.
blitzio_add_mutant(par_ring_forgets_to_go bridge:detail/par_ring.hpp
    [[if (working_ == 0 && waits_for_workers_ != nullptr)]] [[if (working_ > 1 && waits_for_workers_ != nullptr)]])
# The feeder is told that the last worker has gone although another one computes.
blitzio_add_mutant(par_ring_ends_before_workers bridge:detail/par_ring.hpp
    [[if (working_ == 0 && waits_for_workers_ != nullptr)]] [[if (waits_for_workers_ != nullptr)]])
# A worker is started without being counted.
blitzio_add_mutant(par_ring_counts_nobody bridge:detail/par_ring.hpp
    [[            idle_ = started->next_idle;
            ++working_;]] [[            idle_ = started->next_idle;]])
# A result that was held back is not given on when its worker goes.
blitzio_add_mutant(par_ring_holds_back_for_ever bridge:detail/par_ring.hpp
    [[if (!goes_on || !brief || ++held_back_ >= held_back_max)]] [[if ((goes_on && !brief) || ++held_back_ >= held_back_max)]])
# A feeder that waits is not told that there is room again.
blitzio_add_mutant(par_ring_keeps_room_secret bridge:detail/par_ring.hpp
    [[        grant_waiting(woken);
    }]] [[        static_cast<void>(woken);
    }]])
# The bytes of results that were given on stay charged.
blitzio_add_mutant(par_ring_keeps_bytes bridge:detail/par_ring.hpp
    [[        discharge(std::exchange(cell.bytes, 0));]] [[        cell.bytes = 0;]])
# An ordered stage gives on what comes behind a value that is still computed.
blitzio_add_mutant(par_ring_overtakes bridge:detail/par_ring.hpp
    [[        if (!limits_.ordered)
        {
            done_.push(cell);]] [[        if (limits_.ordered)
        {
            order_ = {};
            order_.push(cell);
        }
        else
        {
            done_.push(cell);]])
# The consumer that waits is not told of the end.
blitzio_add_mutant(par_ring_tells_nobody_of_end bridge:detail/par_ring.hpp
    [[        deliver(woken);
        return counts;]] [[        static_cast<void>(woken);
        return counts;]])

# The waker looks first and changes the state then.
blitzio_add_mutant(parking_state_wakes_in_two_steps compute:parking_state.hpp
    [[        switch (word_.exchange(permit, std::memory_order_acq_rel))
        {]] [[        const std::uint32_t seen = word_.load(std::memory_order_acquire);
        word_.store(permit, std::memory_order_release);
        switch (seen)
        {]])
# A wake for a thread that is awake is forgotten.
blitzio_add_mutant(parking_state_drops_permits compute:parking_state.hpp
    [[        switch (word_.exchange(permit, std::memory_order_acq_rel))
        {]] [[        if (word_.load(std::memory_order_acquire) == awake)
        {
            return {};
        }
        switch (word_.exchange(permit, std::memory_order_acq_rel))
        {]])
# The thread goes to sleep over a permit.
blitzio_add_mutant(parking_state_sleeps_over_permits compute:parking_state.hpp
    [[        std::uint32_t expected = awake;]] [[        std::uint32_t expected = word_.load(std::memory_order_relaxed);]])
# The state says that the thread sleeps before the handle is there.
blitzio_add_mutant(parking_state_announces_early compute:parking_state.hpp
    [[        handle_ = std::move(handle);
        if (!announce(sleeping_helping))
        {
            handle_ = Handle{};
        }]] [[        if (announce(sleeping_helping))
        {
            handle_ = std::move(handle);
        }]])
# The handle stays although there was a permit.
blitzio_add_mutant(parking_state_keeps_handle compute:parking_state.hpp
    [[            handle_ = Handle{};]] [[            handle = Handle{};]])
# The waker touches the handle's place after the wait has ended.
blitzio_add_mutant(parking_state_touches_handle_late compute:parking_state.hpp
    [[        case sleeping_helping: return {.helping = std::move(handle_)};]]
    [[        case sleeping_helping:
        {
            const Handle ended = std::move(handle_);
        }
            handle_ = Handle{};
            return {};]])
# The permits of further wakes are erased without a look at what they are about.
blitzio_add_mutant(parking_state_erases_permits_blindly compute:parking_state.hpp
    [[word_.exchange(awake, std::memory_order_acquire);]] [[word_.store(awake, std::memory_order_relaxed);]])

# Two threads take jobs at the same time.
blitzio_add_mutant(job_queue_pops_unlocked compute:job_queue.hpp
    [[        const spin_guard guard(lock_);
        runnable* oldest]] [[        runnable* oldest]])
# Whoever is about to sleep looks at a list that another one changes.
blitzio_add_mutant(job_queue_looks_unlocked compute:job_queue.hpp
    [[        const spin_guard guard(lock_);
        return Atomics::load_plain(ordered_)]] [[        return Atomics::load_plain(ordered_)]])
# What came last is moved before what waits in the list.
blitzio_add_mutant(job_queue_overtakes compute:job_queue.hpp
    [[        if (oldest == nullptr)
        {
            if (inbox_.looks_empty())
            {
                return nullptr;
            }]] [[        if (runnable* const newer = inbox_.take_all())
        {
            runnable* last = newer;
            while (Atomics::load_plain(last->next) != nullptr)
            {
                last = Atomics::load_plain(last->next);
            }
            Atomics::store_plain(last->next, oldest);
            oldest = newer;
        }
        if (oldest == nullptr)
        {
            if (inbox_.looks_empty())
            {
                return nullptr;
            }]])
# The jobs behind the first of a transfer are forgotten.
blitzio_add_mutant(job_queue_loses_the_rest compute:job_queue.hpp
    [[Atomics::store_plain(ordered_, rest);]] [[Atomics::store_plain(ordered_, nullptr);]])
# Whoever leaves the search, or is about to sleep, sees the inbox only.
blitzio_add_mutant(job_queue_looks_at_inbox_only compute:job_queue.hpp
    [[return inbox_.looks_empty() && !some_ordered_.load(std::memory_order_relaxed);]]
    [[return inbox_.looks_empty();]])
# Whoever looks without the lock misses jobs on their way from the inbox to the list.
blitzio_add_mutant(job_queue_moves_unseen compute:job_queue.hpp
    [[            some_ordered_.store(true, std::memory_order_relaxed);
]] [[]])
