// The bounded queue between the tasks of a stage and its consumer.
// Thread rule: push(), fail() and producer_ended() by producers on any worker; pop() by one consumer
// at a time; close() by whoever closes the stream.
//
// Its waits need no stop callbacks, because each ends by something that a stop brings about: a
// consumer waits for producers, whose operations are stopped and who then say that they have ended;
// a producer waits for room, which the consumer makes, or closes the queue once it is stopped.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/detail/stream_step.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

/// Invariants while the lock is free:
///   I1  while the consumer waits, the ring is empty, a producer has not ended, and nothing failed;
///   I2  while a producer waits, the ring is full, and the queue takes values;
///   I3  after close() or fail() nobody waits to push, and no value enters.
/// A value is in its producer's frame, in the ring, or in its consumer's frame, and moves between them
/// under the lock together with the decision that it has moved; so none is lost or taken twice.
template <class T, class Atomics = std_atomics>
class stream_queue
{
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "values of buffered streams are moved where no exception could be reported");

    struct push_node : runnable
    {
        push_node* following = nullptr;
        T* source = nullptr;
        waiter on_complete;
        bool taken = false;
    };

    struct pop_node : runnable
    {
        std::optional<T> value;
        waiter on_complete;
    };

public:
    class push_operation;
    class pop_operation;

    stream_queue() noexcept = default;
    /// Only before open().
    stream_queue(stream_queue&&) noexcept {}

    /// Throws std::bad_alloc. A capacity of 0 counts as 1.
    void open(runtime_core& runtime, std::size_t capacity, std::size_t producers)
    {
        capacity_ = std::max<std::size_t>(capacity, 1);
        ring_ = std::make_unique<std::optional<T>[]>(capacity_);
        runtime_ = &runtime;
        producers_ = producers;
    }

    /// Awaited: true, or false when nobody wants the value any more, which is then destroyed.
    [[nodiscard]] push_operation push(T value) noexcept
    {
        return push_operation(*this, std::move(value));
    }

    /// Awaited: stream_step<T>. After the values that were pushed before: the failure, whose exception
    /// is thrown, or the end, when all producers have ended or the queue is closed.
    [[nodiscard]] pop_operation pop() noexcept
    {
        return pop_operation(*this);
    }

    /// A producer ends with an error; counts as its end, too. The first failure stays.
    void fail_with(std::error_code error, std::exception_ptr thrown, const task_env& env) noexcept
    {
        push_node* refused = nullptr;
        pop_node* told = nullptr;
        bool suppressed = false;
        {
            const spin_guard held(lock_);
            --producers_;
            if (failed_ || closed_)
            {
                suppressed = thrown != nullptr;
            }
            else
            {
                failed_ = true;
                error_ = error;
                exception_ = thrown;
                refused = take_pushers();
            }
            told = take_consumer_at_end();
        }
        if (suppressed)
        {
            report_suppressed(env, std::move(thrown));
        }
        refuse(refused);
        wake(told);
    }

    void producer_ended() noexcept
    {
        pop_node* told = nullptr;
        {
            const spin_guard held(lock_);
            --producers_;
            told = take_consumer_at_end();
        }
        wake(told);
    }

    /// The consumer wants no more. What is in the ring can still be popped.
    void close() noexcept
    {
        push_node* refused = nullptr;
        pop_node* told = nullptr;
        {
            const spin_guard held(lock_);
            closed_ = true;
            refused = take_pushers();
            told = take_consumer_at_end();
        }
        refuse(refused);
        wake(told);
    }

private:
    /// Lock held. True: decided; `receiver` waits for `value` and has it.
    [[nodiscard]] bool offer(push_node& node, pop_node*& receiver) noexcept
    {
        if (closed_ || failed_)
        {
            return true;
        }
        if (consumer_ != nullptr)
        {
            receiver = std::exchange(consumer_, nullptr);
            receiver->value.emplace(std::move(*node.source));
        }
        else if (count_ < capacity_)
        {
            put(*node.source);
        }
        else
        {
            return false;
        }
        node.taken = true;
        return true;
    }

    /// Lock held. True: decided; `pusher`, if set, has got room for its value.
    [[nodiscard]] bool take(std::optional<T>& value, push_node*& pusher) noexcept
    {
        if (count_ == 0)
        {
            return is_at_end();
        }
        value = std::move(ring_[head_]);
        ring_[head_].reset();
        head_ = head_ + 1 == capacity_ ? 0 : head_ + 1;
        --count_;
        pusher = first_pusher_;
        if (pusher != nullptr)
        {
            first_pusher_ = pusher->following;
            put(*pusher->source);
            pusher->taken = true;
        }
        return true;
    }

    void put(T& value) noexcept
    {
        const auto tail = head_ + count_;
        ring_[tail < capacity_ ? tail : tail - capacity_].emplace(std::move(value));
        ++count_;
    }

    [[nodiscard]] bool is_at_end() const noexcept
    {
        return failed_ || closed_ || producers_ == 0;
    }

    [[nodiscard]] pop_node* take_consumer_at_end() noexcept
    {
        return is_at_end() ? std::exchange(consumer_, nullptr) : nullptr;
    }

    [[nodiscard]] push_node* take_pushers() noexcept
    {
        return std::exchange(first_pusher_, nullptr);
    }

    void enqueue(push_node& node) noexcept
    {
        push_node** place = &first_pusher_; // there are as many as a stage has sources: few
        while (*place != nullptr)
        {
            place = &(*place)->following;
        }
        node.following = nullptr;
        *place = &node;
    }

    template <class Node>
    static void continue_node(runnable* item) noexcept
    {
        resume(static_cast<Node*>(item)->on_complete());
    }

    /// Without the lock; the node may be gone afterwards.
    template <class Node>
    void wake(Node* node) noexcept
    {
        if (node != nullptr)
        {
            schedule(*runtime_, *node);
        }
    }

    void refuse(push_node* first) noexcept
    {
        while (first != nullptr)
        {
            push_node* const following = first->following; // the node is gone once scheduled
            schedule_last(*runtime_, *first);
            first = following;
        }
    }

    basic_spin_lock<Atomics> lock_;
    std::unique_ptr<std::optional<T>[]> ring_;
    std::size_t capacity_ = 0;
    std::size_t head_ = 0;
    std::size_t count_ = 0;
    std::size_t producers_ = 0;
    push_node* first_pusher_ = nullptr;
    pop_node* consumer_ = nullptr;
    runtime_core* runtime_ = nullptr;
    bool closed_ = false;
    bool failed_ = false;
    std::error_code error_;
    std::exception_ptr exception_;
};

template <class T, class Atomics>
class stream_queue<T, Atomics>::push_operation
    : public awaitable_base<typename stream_queue<T, Atomics>::push_operation>,
      private stream_queue<T, Atomics>::push_node
{
public:
    push_operation(stream_queue& queue, T&& value) noexcept
        : queue_(&queue), value_(std::move(value))
    {
    }

    /// Only before start().
    push_operation(push_operation&& other) noexcept
        : push_node(), queue_(other.queue_), value_(std::move(other.value_))
    {
    }

    [[nodiscard]] bool start(const task_env&, waiter who) noexcept
    {
        this->source = &value_;
        this->on_complete = who;
        this->run = &stream_queue::template continue_node<push_node>;
        pop_node* receiver = nullptr;
        {
            const spin_guard held(queue_->lock_);
            if (!queue_->offer(*this, receiver))
            {
                queue_->enqueue(*this);
                return true;
            }
        }
        queue_->wake(receiver);
        return false;
    }

    [[nodiscard]] bool await_resume() const noexcept
    {
        return this->taken;
    }

private:
    stream_queue* queue_;
    T value_;
};

template <class T, class Atomics>
class stream_queue<T, Atomics>::pop_operation
    : public awaitable_base<typename stream_queue<T, Atomics>::pop_operation>,
      private stream_queue<T, Atomics>::pop_node
{
public:
    explicit pop_operation(stream_queue& queue) noexcept : queue_(&queue) {}

    /// Only before start().
    pop_operation(pop_operation&& other) noexcept : pop_node(), queue_(other.queue_) {}

    [[nodiscard]] bool start(const task_env&, waiter who) noexcept
    {
        this->on_complete = who;
        this->run = &stream_queue::template continue_node<pop_node>;
        push_node* pusher = nullptr;
        {
            const spin_guard held(queue_->lock_);
            if (!queue_->take(this->value, pusher))
            {
                queue_->consumer_ = this;
                return true;
            }
        }
        queue_->wake(pusher);
        return false;
    }

    [[nodiscard]] stream_step<T> await_resume()
    {
        if (this->value)
        {
            return make_step<T>(*std::move(this->value));
        }
        std::exception_ptr thrown;
        std::error_code error;
        {
            const spin_guard held(queue_->lock_);
            thrown = queue_->exception_;
            error = queue_->error_;
        }
        if (thrown != nullptr)
        {
            std::rethrow_exception(std::move(thrown));
        }
        if (error)
        {
            return fail(error);
        }
        return end_step<T>();
    }

private:
    stream_queue* queue_;
};

} // namespace blitzio::detail
