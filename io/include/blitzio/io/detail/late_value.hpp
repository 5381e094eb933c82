// Room for an object that is made later, in place, and possibly again.
// Thread rule: one thread at a time.
#pragma once

#include <memory>
#include <new>
#include <utility>

namespace blitzio::detail
{

/// Like std::optional, for what cannot be moved into place: the object is what a call returns.
template <class T>
class late_value
{
public:
    late_value() noexcept {}
    late_value(const late_value&) = delete;
    late_value& operator=(const late_value&) = delete;

    ~late_value()
    {
        reset();
    }

    /// Makes the object of what `make` returns; throws what it throws, and is empty then.
    template <class Make>
    T& emplace_from(Make&& make)
    {
        reset();
        T* const made =
            ::new (static_cast<void*>(std::addressof(object_))) T(std::forward<Make>(make)());
        present_ = true;
        return *made;
    }

    void reset() noexcept
    {
        if (present_)
        {
            present_ = false;
            std::destroy_at(std::addressof(object_));
        }
    }

    explicit operator bool() const noexcept
    {
        return present_;
    }

    [[nodiscard]] T& operator*() noexcept
    {
        return object_;
    }

    [[nodiscard]] T* operator->() noexcept
    {
        return std::addressof(object_);
    }

private:
    union
    {
        T object_;
    };
    bool present_ = false;
};

} // namespace blitzio::detail
