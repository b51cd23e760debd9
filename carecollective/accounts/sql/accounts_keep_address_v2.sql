-- Keeps account_emailaddress, which django-allauth reads, in step with profiles.email: one row for each member with an address.
-- An address that a pending member typed is not confirmed. One that came by a takeover, or by the code that was sent to it, is.
CREATE OR REPLACE FUNCTION public.accounts_keep_address() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    DELETE FROM public.account_emailaddress WHERE user_id = NEW.id AND email IS DISTINCT FROM NEW.email;
    IF NEW.email IS NOT NULL THEN
        INSERT INTO public.account_emailaddress (user_id, email, verified, "primary")
        VALUES (NEW.id, NEW.email, TG_OP = 'UPDATE' OR NEW.verification_status::text = 'approved', true)
        ON CONFLICT DO NOTHING;
    ELSE
        -- Who has no address signs in no more: an erasure leaves no second factor behind.
        DELETE FROM public.mfa_authenticator WHERE user_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;
